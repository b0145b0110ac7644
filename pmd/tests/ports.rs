//! Ports on virtual devices: what is sent arrives, what fails says so, nothing stays behind.

mod support;

use std::fs;
use std::io::Cursor;
use std::time::{Duration, Instant};

use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use support::*;
use weir_pmd::MbufBatch;
use weir_pmd::mempool::Mempools;
use weir_pmd::port::{DeviceName, Port, PortConfig, PortErrorCause, Spread};

#[test]
fn a_ring_returns_what_was_sent() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut ring = start(&dpdk, pools, "net_ring0", 1_500).unwrap();
        assert_eq!(ring.port.driver(), "net_ring");
        assert_eq!(ring.port.spread(), Spread::OneQueue);
        let sent: Vec<_> = (0..32)
            .map(|seed| pattern(60 + 40 * usize::from(seed), seed))
            .collect();
        let pool = pools.for_node(ring.port.node()).unwrap().clone();
        send(
            &mut ring.tx[0],
            sent.iter().map(|bytes| pool.frame(bytes).unwrap()),
        );
        assert_eq!(receive(&mut ring.rx[0]), sent);
        assert_eq!(receive(&mut ring.rx[0]), Vec::<Vec<u8>>::new());
        let stats = ring.port.stats();
        assert_eq!((stats.rx_packets, stats.tx_packets), (32, 32));
    });
}

#[test]
fn what_a_full_queue_refuses_stays_in_the_batch_in_order() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut ring = start(&dpdk, pools, "net_ring1", 1_500).unwrap();
        let pool = pools.for_node(ring.port.node()).unwrap().clone();
        let mut sent = 0_u32;
        let frame = |number: u32| pool.frame(&number.to_be_bytes()).unwrap();
        // The ring has 1,024 slots, one of which stays free.
        let refused = loop {
            let mut batch: MbufBatch<30> = MbufBatch::new();
            for number in sent..sent + 30 {
                batch.push(frame(number)).unwrap();
            }
            let taken = ring.tx[0].send(&mut batch);
            sent += u32::try_from(taken).unwrap();
            assert_eq!(batch.len(), 30 - taken);
            if !batch.is_empty() {
                break batch.drain().map(|frame| bytes(&frame)).collect::<Vec<_>>();
            }
        };
        assert_eq!(refused[0], sent.to_be_bytes());
        assert!(refused.is_sorted());
        let mut came = 0_u32;
        loop {
            let frames = receive(&mut ring.rx[0]);
            if frames.is_empty() {
                break;
            }
            for frame in frames {
                assert_eq!(frame, came.to_be_bytes());
                came += 1;
            }
        }
        assert_eq!(came, sent);
    });
}

#[test]
fn a_jumbo_frame_passes_as_a_chain() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut ring = start(&dpdk, pools, "net_ring2", 9_000).unwrap();
        assert_eq!(ring.port.mtu(), 9_000);
        assert_eq!(ring.tx[0].max_frame_bytes(), 9_022);
        assert!(ring.tx[0].sends_chains());
        let jumbo = pattern(9_014, 5);
        let frame = pools
            .for_node(ring.port.node())
            .unwrap()
            .frame(&jumbo)
            .unwrap();
        send(&mut ring.tx[0], [frame]);
        assert_eq!(receive(&mut ring.rx[0]), [jumbo]);
    });
}

#[test]
fn the_null_device_makes_frames_and_swallows_them() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut null = start(&dpdk, pools, "net_null0,size=100,copy=1", 1_500).unwrap();
        let mut batch: MbufBatch = MbufBatch::new();
        assert_eq!(null.rx[0].receive(&mut batch), 32);
        assert!(batch.is_full());
        batch.prefetch();
        assert_eq!(null.tx[0].send(&mut batch), 32);
        assert_eq!(receive(&mut null.rx[0]).len(), 32);
        assert_eq!(null.port.stats().tx_packets, 32);
    });
}

/// net_null has a redirection table, which is nothing to its frames.
#[test]
fn a_redirection_table_is_set() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let config = |rx_queues| PortConfig {
            name: "null".to_owned(),
            device: DeviceName::Vdev("net_null7".to_owned()),
            rx_queues,
            tx_queues: 1,
            mtu: 1_500,
            rss_key: 0x6d5a,
        };
        let started = Port::start(&dpdk.eal, pools, &config(2)).unwrap();
        assert_eq!(started.port.spread(), Spread::SymmetricRss);
        let entries = started.port.redirections().expect("it has one");
        assert_eq!(entries, 128);
        for table in [
            (0..entries).map(|entry| entry % 2).collect::<Vec<_>>(),
            (0..entries).map(|entry| entry / 64).collect(),
        ] {
            started.port.redirect(&table).unwrap();
            assert_eq!(started.port.redirection().unwrap(), table);
        }
        drop(started);
        let alone = Port::start(&dpdk.eal, pools, &config(1)).unwrap();
        assert_eq!(alone.port.spread(), Spread::OneQueue);
        assert_eq!(alone.port.redirections(), None);
    });
}

#[test]
fn captures_are_read_and_written() {
    let dpdk = dpdk();
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.pcap");
    let output = directory.path().join("out.pcap");
    let frames: Vec<_> = [60, 1_514, 9_014, 61]
        .iter()
        .map(|&len| pattern(len, 8))
        .collect();
    fs::write(&input, capture(&frames)).unwrap();
    let vdev = format!(
        "net_pcap0,rx_pcap={},tx_pcap={}",
        input.display(),
        output.display()
    );
    with_pools(&dpdk, |pools| {
        let mut pcap = start(&dpdk, pools, &vdev, 9_000).unwrap();
        let mut batch: MbufBatch = MbufBatch::new();
        while batch.len() < frames.len() {
            assert!(pcap.rx[0].receive(&mut batch) > 0, "the capture ends early");
        }
        assert_eq!(pcap.tx[0].send(&mut batch), frames.len());
    });
    let written = fs::read(&output).unwrap();
    let mut reader = PcapReader::new(Cursor::new(written)).unwrap();
    let mut seen = Vec::new();
    while let Some(packet) = reader.next_packet() {
        seen.push(packet.unwrap().data.into_owned());
    }
    assert_eq!(seen, frames);
}

#[test]
fn a_tap_is_there_while_its_port_is() {
    if !can_make_taps("a_tap_is_there_while_its_port_is") {
        return;
    }
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        for _ in 0..2 {
            let mut tap = start(&dpdk, pools, "net_tap0,iface=weirtest0", 1_400).unwrap();
            assert!(interface_exists("weirtest0"));
            let mtu = fs::read_to_string("/sys/class/net/weirtest0/mtu").unwrap();
            assert_eq!(mtu.trim(), "1400");
            let mac = fs::read_to_string("/sys/class/net/weirtest0/address").unwrap();
            let ours = tap.port.mac().map(|byte| format!("{byte:02x}")).join(":");
            assert_eq!(mac.trim(), ours);
            assert!(tap.port.link().up);
            let pool = pools.for_node(tap.port.node()).unwrap().clone();
            send(&mut tap.tx[0], [pool.frame(&pattern(100, 1)).unwrap()]);
            let counted = "/sys/class/net/weirtest0/statistics/rx_packets";
            wait_for(|| fs::read_to_string(counted).unwrap().trim() != "0");
            // The queues keep the device; the port alone does not end it.
            drop(tap.port);
            drop(tap.rx);
            assert!(interface_exists("weirtest0"));
            drop(tap.tx);
            assert!(!interface_exists("weirtest0"));
        }
    });
}

#[test]
fn a_tap_receives_what_the_kernel_sends() {
    if !can_make_taps("a_tap_receives_what_the_kernel_sends") {
        return;
    }
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut tap = start(&dpdk, pools, "net_tap1,iface=weirtest1", 1_500).unwrap();
        // A packet for a neighbour makes the kernel ask for it.
        ip(&["addr", "add", "198.51.100.1/24", "dev", "weirtest1"]);
        let socket = std::net::UdpSocket::bind("198.51.100.1:0").unwrap();
        let _ = socket.send_to(b"x", "198.51.100.2:9");
        let mut seen = false;
        wait_for(|| {
            seen |= receive(&mut tap.rx[0])
                .iter()
                .any(|frame| frame[12..14] == [0x08, 0x06]);
            seen
        });
        assert!(tap.port.stats().rx_packets > 0);
    });
}

#[test]
fn a_taps_link_is_known_in_another_namespace() {
    if !can_make_taps("a_taps_link_is_known_in_another_namespace") {
        return;
    }
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let tap = start(&dpdk, pools, "net_tap3,iface=weirtest3", 1_500).unwrap();
        assert!(tap.port.link().up);
        let namespace = Namespace::new("weirtest-ns");
        ip(&["link", "set", "weirtest3", "netns", namespace.0]);
        // The kernel takes an interface down when it moves it.
        assert!(!tap.port.link().up);
        ip(&["-n", namespace.0, "link", "set", "weirtest3", "up"]);
        assert!(tap.port.link().up);
        drop(tap);
        let left = std::process::Command::new("ip")
            .args(["-n", namespace.0, "link", "show", "weirtest3"])
            .output()
            .unwrap();
        assert!(!left.status.success());
    });
}

/// A network namespace, gone when it is dropped.
struct Namespace(&'static str);

impl Namespace {
    fn new(name: &'static str) -> Self {
        // From a test that was killed.
        let _ = std::process::Command::new("ip")
            .args(["netns", "del", name])
            .output();
        ip(&["netns", "add", name]);
        Self(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", self.0]);
    }
}

fn ip(arguments: &[&str]) {
    let output = std::process::Command::new("ip")
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {}: {error}",
        arguments.join(" ")
    );
}

#[test]
fn an_mtu_that_the_driver_cannot_have_is_named() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let error = start(&dpdk, pools, "net_ring3", 20).err().unwrap();
        assert!(
            matches!(*error.cause, PortErrorCause::Mtu { asked: 20, .. }),
            "{error}"
        );
        retry(&dpdk, pools, "net_ring3");
    });
}

#[test]
fn too_many_queues_are_named() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let device = DeviceName::Vdev("net_ring4".to_owned());
        let mut config = PortConfig {
            name: "r".to_owned(),
            device,
            rx_queues: 100,
            tx_queues: 1,
            mtu: 1_500,
            rss_key: 0x6d5a,
        };
        let error = Port::start(&dpdk.eal, pools, &config).err().unwrap();
        assert_eq!(
            error.to_string(),
            "port \"r\" (net_ring4) does not start: 100 receive queues were asked for; \
             the device has 1 to 16"
        );
        config.rx_queues = 0;
        let error = Port::start(&dpdk.eal, pools, &config).err().unwrap();
        assert!(
            matches!(*error.cause, PortErrorCause::Queues { asked: 0, .. }),
            "{error}"
        );
        retry(&dpdk, pools, "net_ring4");
    });
}

#[test]
fn a_device_is_one_ports() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let first = start(&dpdk, pools, "net_ring5", 1_500).unwrap();
        let error = start(&dpdk, pools, "net_ring5", 1_500).err().unwrap();
        assert_eq!(*error.cause, PortErrorCause::InUse);
        // The first one was not touched.
        assert!(first.port.link().up);
        drop(first);
        retry(&dpdk, pools, "net_ring5");
    });
}

#[test]
fn a_port_that_does_not_start_says_why_and_can_be_tried_again() {
    let dpdk = dpdk();
    let directory = tempfile::tempdir().unwrap();
    let capture_path = directory.path().join("late.pcap");
    let vdev = format!("net_pcap1,rx_pcap={}", capture_path.display());
    with_pools(&dpdk, |pools| {
        let error = start(&dpdk, pools, &vdev, 1_500).err().unwrap().to_string();
        assert!(
            error.starts_with("port \"test-net_pcap1\" (net_pcap1,rx_pcap="),
            "{error}"
        );
        assert!(error.contains("attaching the device"), "{error}");
        // The driver's own word.
        assert!(error.contains("No such file or directory"), "{error}");
        fs::write(&capture_path, capture(&[pattern(60, 1)])).unwrap();
        retry(&dpdk, pools, &vdev);
    });
}

#[test]
fn devices_that_are_not_there_are_named() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let error = start(&dpdk, pools, "net_nonsense0", 1_500)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("net_nonsense0"), "{error}");
        let device = DeviceName::Pci("0000:99:00.0".to_owned());
        let config = PortConfig {
            name: "nic".to_owned(),
            device,
            rx_queues: 1,
            tx_queues: 1,
            mtu: 1_500,
            rss_key: 0x6d5a,
        };
        for _ in 0..2 {
            let error = Port::start(&dpdk.eal, pools, &config)
                .err()
                .unwrap()
                .to_string();
            assert!(
                error.starts_with("port \"nic\" (0000:99:00.0) does not start: "),
                "{error}"
            );
            assert!(error.contains("No such device"), "{error}");
        }
    });
}

#[test]
fn an_argument_that_the_driver_would_ignore_is_an_error() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let error = start(&dpdk, pools, "net_tap2,ifcae=weirtest2", 1_500)
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "port \"test-net_tap2\" (net_tap2,ifcae=weirtest2) does not start: net_tap has no \
             argument \"ifcae\"; it has iface, mac, persist, remote"
        );
        assert!(!interface_exists("dtap0"));
    });
}

#[test]
fn a_pool_that_cannot_be_made_fails_its_port_and_leaves_no_device() {
    let dpdk = dpdk();
    let mut pools = Mempools::new(dpdk.eal.clone(), 10_000_000);
    for _ in 0..2 {
        let error = start(&dpdk, &mut pools, "net_ring6", 1_500).err().unwrap();
        assert!(matches!(*error.cause, PortErrorCause::Pool(_)), "{error}");
        let error = error.to_string();
        assert!(
            error.contains("no memory pool of 10000000 mbufs on any NUMA node"),
            "{error}"
        );
        assert!(error.contains("Cannot allocate memory"), "{error}");
    }
    with_pools(&dpdk, |pools| retry(&dpdk, pools, "net_ring6"));
}

/// After a failure the same device starts, which it cannot if something was left of it.
fn retry(dpdk: &Dpdk, pools: &mut Mempools, vdev: &str) {
    start(dpdk, pools, vdev, 1_500).unwrap();
}

/// A capture in memory.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    for frame in frames {
        let len = u32::try_from(frame.len()).unwrap();
        writer
            .write_packet(&PcapPacket::new(Duration::ZERO, len, frame))
            .unwrap();
    }
    writer.into_writer()
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "it did not happen within ten seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}
