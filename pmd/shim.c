#include "shim.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

/* weir reads these fields through the offsets in shim.h, in these sizes. */
#define FIELD_SIZE(field) sizeof(((struct rte_mbuf *)NULL)->field)
_Static_assert(FIELD_SIZE(buf_addr) == 8, "buf_addr");
_Static_assert(FIELD_SIZE(data_off) == 2, "data_off");
_Static_assert(FIELD_SIZE(nb_segs) == 2, "nb_segs");
_Static_assert(FIELD_SIZE(ol_flags) == 8, "ol_flags");
_Static_assert(FIELD_SIZE(pkt_len) == 4, "pkt_len");
_Static_assert(FIELD_SIZE(data_len) == 2, "data_len");
_Static_assert(FIELD_SIZE(buf_len) == 2, "buf_len");
_Static_assert(FIELD_SIZE(pool) == 8, "pool");
_Static_assert(FIELD_SIZE(next) == 8, "next");

uint16_t
weir_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t room)
{
	return rte_eth_rx_burst(port, queue, frames, room);
}

uint16_t
weir_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, frames, count);
}

void
weir_prefetch(struct rte_mbuf *const *frames, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		rte_prefetch0(rte_pktmbuf_mtod(frames[i], const void *));
}

struct rte_mbuf *
weir_mbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

void
weir_mbuf_free(struct rte_mbuf *frame)
{
	rte_pktmbuf_free(frame);
}

int
weir_mbuf_gather(struct rte_mbuf *frame, uint16_t bytes)
{
	uint32_t wanted = RTE_MIN((uint32_t)bytes, frame->pkt_len);
	struct rte_mbuf *next;

	if (wanted > frame->buf_len)
		return -1;
	if (frame->data_off + wanted > frame->buf_len && frame->data_len < wanted) {
		/* Too close to the end, as after taking off long headers: back to the front. */
		uint16_t front = RTE_MIN(RTE_PKTMBUF_HEADROOM, frame->buf_len - (uint16_t)wanted);

		memmove((char *)frame->buf_addr + front, rte_pktmbuf_mtod(frame, char *),
			frame->data_len);
		frame->data_off = front;
	}
	while (frame->data_len < bytes && (next = frame->next) != NULL) {
		uint16_t take = RTE_MIN((uint16_t)(bytes - frame->data_len), next->data_len);

		memcpy(rte_pktmbuf_mtod_offset(frame, char *, frame->data_len),
		       rte_pktmbuf_mtod(next, const char *), take);
		frame->data_len += take;
		next->data_off += take;
		next->data_len -= take;
		if (next->data_len == 0) {
			frame->next = next->next;
			frame->nb_segs--;
			rte_pktmbuf_free_seg(next);
		}
	}
	return 0;
}

/* What a driver may want in front of a frame that is sent, as that of virtio does. */
#define DRIVER_ROOM 32

int
weir_mbuf_move_back(struct rte_mbuf *frame, uint16_t count)
{
	uint16_t front, keep;

	if (count > frame->buf_len / 2)
		return -1;
	front = count + DRIVER_ROOM;
	keep = frame->buf_len - front;
	if (frame->data_len > keep) {
		struct rte_mbuf *next = rte_pktmbuf_alloc(frame->pool);
		uint16_t rest = frame->data_len - keep;

		if (next == NULL)
			return -1;
		/* Buffers of a pool have one size, so there is room. */
		next->data_off = 0;
		next->data_len = rest;
		memcpy(rte_pktmbuf_mtod(next, char *),
		       rte_pktmbuf_mtod_offset(frame, const char *, keep), rest);
		next->next = frame->nb_segs > 1 ? frame->next : NULL;
		frame->next = next;
		frame->nb_segs++;
		frame->data_len = keep;
	}
	memmove((char *)frame->buf_addr + front, rte_pktmbuf_mtod(frame, char *),
		frame->data_len);
	frame->data_off = front;
	return 0;
}

void
weir_mbuf_truncate(struct rte_mbuf *frame, uint32_t size)
{
	struct rte_mbuf *last = frame, *rest;
	uint16_t segments = 1;
	uint32_t left = size;

	while (left > last->data_len) {
		left -= last->data_len;
		last = last->next;
		segments++;
	}
	rest = last->next;
	last->next = NULL;
	last->data_len = left;
	frame->nb_segs = segments;
	frame->pkt_len = size;
	while (rest != NULL) {
		struct rte_mbuf *next = rest->next;

		rte_pktmbuf_free_seg(rest);
		rest = next;
	}
}

int
weir_errno(void)
{
	return rte_errno;
}

uint64_t
weir_cycles(void)
{
	return rte_rdtsc();
}

int
weir_link(uint16_t port, uint32_t *speed)
{
	struct rte_eth_link link;
	int error = rte_eth_link_get_nowait(port, &link);

	if (error != 0)
		return error;
	*speed = link.link_speed;
	return link.link_status == RTE_ETH_LINK_UP;
}

/* Written by EAL's interrupt thread, read by the management thread. */
static int removed[RTE_MAX_ETHPORTS];

static int
note_removal(uint16_t port, enum rte_eth_event_type event, void *argument, void *result)
{
	(void)event;
	(void)argument;
	(void)result;
	__atomic_store_n(&removed[port], 1, __ATOMIC_RELAXED);
	return 0;
}

int
weir_watch_removal(uint16_t port)
{
	__atomic_store_n(&removed[port], 0, __ATOMIC_RELAXED);
	return rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_RMV, note_removal, NULL);
}

void
weir_unwatch_removal(uint16_t port)
{
	rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_RMV, note_removal, NULL);
}

int
weir_is_removed(uint16_t port)
{
	return __atomic_load_n(&removed[port], __ATOMIC_RELAXED) != 0 ||
	       rte_eth_dev_is_removed(port) != 0;
}

int
weir_tells_removal(const struct rte_eth_dev_info *info)
{
	return info->dev_flags != NULL && (*info->dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
}

unsigned int
weir_node(void)
{
	return rte_socket_id();
}
