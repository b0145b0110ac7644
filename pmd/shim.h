/*
 * What weir takes from DPDK and bindgen cannot see: inline functions that work on a whole
 * burst (or are rare), constants that are macros, and whatever has a different shape in
 * different LTS releases. Everything in this file is bound.
 */
#ifndef WEIR_SHIM_H
#define WEIR_SHIM_H

/* For fopencookie(). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

/* Where the fields of an mbuf lie that weir reads and writes itself. */
enum weir_mbuf_offset {
	WEIR_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	WEIR_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	WEIR_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	WEIR_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	WEIR_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	WEIR_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	WEIR_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	WEIR_MBUF_POOL = offsetof(struct rte_mbuf, pool),
	WEIR_MBUF_NEXT = offsetof(struct rte_mbuf, next),
};

enum weir_limit {
	WEIR_MBUF_HEADROOM = RTE_PKTMBUF_HEADROOM,
	WEIR_MBUF_MAX_SEGS = RTE_MBUF_MAX_NB_SEGS,
	WEIR_MEMPOOL_CACHE_MAX = RTE_MEMPOOL_CACHE_MAX_SIZE,
	WEIR_MAX_PORTS = RTE_MAX_ETHPORTS,
	WEIR_RETA_GROUP = RTE_ETH_RETA_GROUP_SIZE,
	WEIR_PORT_OVERHEAD = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN,
};

static const uint64_t WEIR_IP_CKSUM_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t WEIR_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t WEIR_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t WEIR_L4_CKSUM_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t WEIR_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const uint64_t WEIR_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;

static const uint64_t WEIR_RX_CHECKSUM =
	RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
	RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t WEIR_RX_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t WEIR_RX_RSS_HASH = RTE_ETH_RX_OFFLOAD_RSS_HASH;
static const uint64_t WEIR_TX_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t WEIR_RSS_FIELDS =
	RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;
static const uint32_t WEIR_MQ_NONE = RTE_ETH_MQ_RX_NONE;
static const uint32_t WEIR_MQ_RSS = RTE_ETH_MQ_RX_RSS;

/* Receives up to `room` frames; returns how many came. */
uint16_t weir_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t room);

/* Sends up to `count` frames; returns how many were taken, from the front. */
uint16_t weir_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t count);

/* Fetches the first line of each frame's data into the cache. */
void weir_prefetch(struct rte_mbuf *const *frames, uint16_t count);

/* One empty mbuf, or NULL. */
struct rte_mbuf *weir_mbuf_alloc(struct rte_mempool *pool);

/* Frees a frame, all segments. */
void weir_mbuf_free(struct rte_mbuf *frame);

/*
 * Moves bytes from the following segments into the first until it holds `bytes` of them or the
 * whole frame. Returns 0, or -1 if the first segment's buffer is too small; the frame's content
 * is the same in either case.
 */
int weir_mbuf_gather(struct rte_mbuf *frame, uint16_t bytes);

/*
 * Moves the data of the first segment back, so that `count` more bytes have room in front of it;
 * what then finds no room behind goes into another segment. Returns 0, or -1 if there is none in
 * the pool or the buffer is not much larger than `count`; the frame's content is the same in
 * either case.
 */
int weir_mbuf_move_back(struct rte_mbuf *frame, uint16_t count);

/* Keeps the first `size` bytes of a frame that has more; not 0. */
void weir_mbuf_truncate(struct rte_mbuf *frame, uint32_t size);

/* rte_errno of this thread. */
int weir_errno(void);

/* The cycle counter. */
uint64_t weir_cycles(void);

/* Link state without waiting: 1 up, 0 down, negative errno; the speed in Mbit/s. */
int weir_link(uint16_t port, uint32_t *speed);

/* Notes when the device of a port disappears; 0 or negative errno. Before the port is started. */
int weir_watch_removal(uint16_t port);

/* No longer. */
void weir_unwatch_removal(uint16_t port);

/* Whether the device of a port that is watched has disappeared. */
int weir_is_removed(uint16_t port);

/* Whether the device tells of that by an interrupt. */
int weir_tells_removal(const struct rte_eth_dev_info *info);

/* The NUMA node on which the calling thread runs. */
unsigned int weir_node(void);

#endif
