//! DPDK's log: each line goes to `tracing` at debug level, and the last few are kept, so that
//! the error of a failed call can quote what the driver said.
//!
//! Threads: any thread may log; lines are kept behind a mutex. Drivers do not log per packet at
//! the levels weir sets.

use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::ptr;
use std::slice;
use std::sync::{Mutex, Once, PoisonError};

use crate::dpdk_sys as ffi;

/// Lines kept.
const LINES: usize = 8;

/// A longer line is cut.
const LINE_BYTES: usize = 300;

static RECENT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Sends DPDK's log here instead of to syslog and standard error; also before EAL starts.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let functions = ffi::cookie_io_functions_t {
            write: Some(write),
            ..ffi::cookie_io_functions_t::default()
        };
        // SAFETY: the mode is a C string, the functions are copied, and the cookie is not used.
        // The stream lives as long as the process. If it cannot be made, DPDK keeps its own.
        unsafe {
            let stream = ffi::fopencookie(ptr::null_mut(), c"w".as_ptr(), functions);
            if !stream.is_null() {
                ffi::rte_openlog_stream(stream);
            }
        }
    });
}

/// Forgets the lines kept so far; called before what may fail.
pub(crate) fn forget() {
    RECENT
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}

/// The lines since [`forget`], the last few, separated by `; `. Empty if there was none.
pub(crate) fn recent() -> String {
    let lines = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    lines
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Called by libc with what DPDK flushes: normally one line.
unsafe extern "C" fn write(_cookie: *mut c_void, bytes: *const c_char, size: usize) -> i64 {
    // SAFETY: libc passes `size` readable bytes.
    let bytes = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), size) };
    for line in String::from_utf8_lossy(bytes).lines() {
        keep(line.trim());
    }
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn keep(line: &str) {
    if line.is_empty() {
        return;
    }
    tracing::debug!(target: "dpdk", "{line}");
    let mut lines = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() == LINES {
        lines.pop_front();
    }
    lines.push_back(line.chars().take(LINE_BYTES).collect());
}
