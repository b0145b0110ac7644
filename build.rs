//! Finds DPDK, makes the bindings behind `weir_pmd`'s private module `dpdk_sys` and compiles
//! the C shim.
//!
//! What is missing is told in one sentence with the name of the Debian package.

use std::env;
use std::panic::{self, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every DPDK and libc function that `weir_pmd` calls directly. Types follow from these; the
/// inline functions, constants and moving layouts are in `pmd/shim.h`, all of which is bound.
const FUNCTIONS: &[&str] = &[
    "fopencookie",
    "rte_dev_name",
    "rte_eal_cleanup",
    "rte_eal_get_runtime_dir",
    "rte_eal_hotplug_add",
    "rte_eal_hotplug_remove",
    "rte_eal_init",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_close",
    "rte_eth_dev_configure",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_info_get",
    "rte_eth_dev_rss_reta_query",
    "rte_eth_dev_rss_reta_update",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_set_link_down",
    "rte_eth_dev_set_link_up",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_find_next",
    "rte_eth_macaddr_get",
    "rte_eth_promiscuous_enable",
    "rte_eth_rx_queue_setup",
    "rte_eth_stats_get",
    "rte_eth_tx_queue_setup",
    "rte_get_tsc_hz",
    "rte_mempool_avail_count",
    "rte_mempool_free",
    "rte_openlog_stream",
    "rte_pktmbuf_copy",
    "rte_pktmbuf_free_bulk",
    "rte_pktmbuf_pool_create",
    "rte_strerror",
    "rte_thread_register",
    "rte_thread_unregister",
];

/// Types of which `weir_pmd` holds pointers only; what it reads of an mbuf it reads at the
/// offsets that the shim's header states.
const OPAQUE: &[&str] = &["rte_mbuf", "rte_mempool", "_IO_FILE"];

const SHIM_HEADER: &str = "pmd/shim.h";
const SHIM_SOURCE: &str = "pmd/shim.c";
const OLDEST_DPDK: &str = "22.11";

fn main() {
    for path in ["build.rs", SHIM_HEADER, SHIM_SOURCE] {
        println!("cargo::rerun-if-changed={path}");
    }
    if let Err(sentence) = build() {
        println!("cargo::error={sentence}");
    }
}

fn build() -> Result<(), String> {
    let cflags = find_dpdk()?;
    make_bindings(&cflags)?;
    compile_shim(&cflags)
}

/// Tells cargo to link DPDK; returns all of its compiler flags.
///
/// All, because the layout of `rte_mbuf` depends on `-include rte_config.h` and the inline
/// functions on `-march`.
fn find_dpdk() -> Result<Vec<String>, String> {
    pkg_config::Config::new()
        .atleast_version(OLDEST_DPDK)
        .probe("libdpdk")
        .map_err(|_| {
            format!(
                "weir needs DPDK {OLDEST_DPDK} or later, which pkg-config does not find: \
                 install the Debian packages libdpdk-dev and pkg-config"
            )
        })?;
    let directory = pkg_config("--variable=pcfiledir")?;
    println!(
        "cargo::rerun-if-changed={}",
        Path::new(directory.trim()).join("libdpdk.pc").display()
    );
    Ok(pkg_config("--cflags")?
        .split_whitespace()
        .map(str::to_owned)
        .collect())
}

fn pkg_config(what: &str) -> Result<String, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = Command::new(&program)
        .args([what, "libdpdk"])
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program} {what} libdpdk` failed"));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} printed no UTF-8"))
}

fn make_bindings(cflags: &[String]) -> Result<(), String> {
    // bindgen panics where libclang is missing; the sentence below says it better.
    panic::set_hook(Box::new(|_| {}));
    let clang = catch_unwind(bindgen::clang_version);
    let _ = panic::take_hook();
    clang.map_err(|_| {
        "weir needs libclang to read DPDK's headers: install the Debian package libclang-dev"
            .to_owned()
    })?;

    let mut builder = bindgen::Builder::default()
        .header(SHIM_HEADER)
        .clang_args(cflags)
        .allowlist_file(".*pmd/shim\\.h")
        .prepend_enum_name(false)
        .generate_comments(false)
        .derive_default(true)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()));
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    let bindings = builder
        .generate()
        .map_err(|error| format!("cannot read DPDK's headers: {error}"))?;
    let file = out_dir()?.join("dpdk_sys.rs");
    bindings
        .write_to_file(&file)
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn compile_shim(cflags: &[String]) -> Result<(), String> {
    let mut compiler = cc::Build::new();
    compiler
        .file(SHIM_SOURCE)
        .std("gnu11")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        // One call per burst into DPDK's inline functions: never worth compiling slowly.
        .opt_level(3);
    for flag in cflags {
        // Our warnings are about our own lines, not about DPDK's headers.
        match flag.strip_prefix("-I") {
            Some(directory) => compiler.flag("-isystem").flag(directory),
            None => compiler.flag(flag),
        };
    }
    compiler
        .try_compile("weir_shim")
        .map_err(|error| format!("cannot compile {SHIM_SOURCE}: {error}"))
}

fn out_dir() -> Result<PathBuf, String> {
    env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or_else(|| "cargo sets no OUT_DIR".to_owned())
}
