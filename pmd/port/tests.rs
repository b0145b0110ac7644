use super::*;

#[test]
fn a_vdev_is_name_and_arguments() {
    let vdev = |text: &str| DeviceName::Vdev(text.to_owned());
    assert_eq!(
        parts(&vdev("net_ring0")),
        ("vdev", "net_ring0".to_owned(), "")
    );
    assert_eq!(
        parts(&vdev("net_pcap0,rx_pcap=a.pcap,tx_pcap=b.pcap")),
        (
            "vdev",
            "net_pcap0".to_owned(),
            "rx_pcap=a.pcap,tx_pcap=b.pcap"
        )
    );
}

#[test]
fn a_pci_address_gets_its_domain() {
    let pci = |text: &str| DeviceName::Pci(text.to_owned());
    assert_eq!(
        parts(&pci("3B:00.0")),
        ("pci", "0000:3b:00.0".to_owned(), "")
    );
    assert_eq!(
        parts(&pci("0001:3b:00.1")),
        ("pci", "0001:3b:00.1".to_owned(), "")
    );
}
