use super::*;

#[test]
fn a_vdev_is_name_and_arguments() {
    let vdev = |text: &str| DeviceName::Vdev(text.to_owned());
    assert_eq!(
        vdev("net_ring0").parts(),
        ("vdev", "net_ring0".to_owned(), "")
    );
    assert_eq!(
        vdev("net_pcap0,rx_pcap=a.pcap,tx_pcap=b.pcap").parts(),
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
        pci("3B:00.0").parts(),
        ("pci", "0000:3b:00.0".to_owned(), "")
    );
    assert_eq!(
        pci("0001:3b:00.1").parts(),
        ("pci", "0001:3b:00.1".to_owned(), "")
    );
}
