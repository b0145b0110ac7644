//! The socket as a file: made with the right owner before anybody can connect, removed at the
//! end, never taken from a switch that is alive.
//!
//! A lock file beside the socket is held while the switch lives. Who has the lock may remove a
//! socket that nobody answers on; a lock cannot outlive its process, so a crash leaves nothing
//! that needs a hand.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{bind, listen, socket};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{Gid, Group, Uid, User, chown};

use crate::file::Control;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another switch listens there.
    #[error("{}: another switch is running here", .0.display())]
    InUse(PathBuf),
    /// Something else has the name.
    #[error("{}: is there and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// A user or group that does not exist.
    #[error("{}: there is no {kind} {name}", path.display())]
    NoAccount {
        /// The socket.
        path: PathBuf,
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The system refused.
    #[error("{}: cannot {what}: {error}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// A listening socket with its file, which goes when this does.
#[derive(Debug)]
pub(super) struct BoundSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file we made: another one of that name is not ours to remove.
    identity: Option<(u64, u64)>,
    // Dropped in this order: the lock covers the removal of the socket.
    _lock: LockFile,
    _directory: Directory,
}

impl BoundSocket {
    /// Listens as `control` says.
    pub(super) fn bind(control: &Control) -> Result<Self, SocketError> {
        let path = &control.socket;
        let system = |what| move |error: io::Error| SocketError::system(path, what, error);
        let owner = control
            .owner
            .as_ref()
            .map(|name| find_user(path, name))
            .transpose()?;
        let group = control
            .group
            .as_ref()
            .map(|name| find_group(path, name))
            .transpose()?;

        let directory = Directory::make(path).map_err(system("make its directory"))?;
        let lock = LockFile::take(path)?;
        remove_stale(path)?;

        let socket = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .map_err(|errno| SocketError::system(path, "make a socket", errno.into()))?;
        let address = UnixAddr::new(path)
            .map_err(|errno| SocketError::system(path, "make a socket", errno.into()))?;
        bind(socket.as_raw_fd(), &address)
            .map_err(|errno| SocketError::system(path, "make the socket", errno.into()))?;
        // From here on the file is ours, and dropping this removes it.
        let mut bound = Self {
            listener: UnixListener::from(socket),
            path: path.clone(),
            identity: None,
            _lock: lock,
            _directory: directory,
        };
        bound.identity = identity(path);

        // Nobody can connect before listen(), so there is no moment with the wrong rights.
        let mode = Mode::from_bits_truncate(control.mode);
        fchmodat(
            nix::fcntl::AT_FDCWD,
            path,
            mode,
            FchmodatFlags::FollowSymlink,
        )
        .map_err(|errno| SocketError::system(path, "set its mode", errno.into()))?;
        if owner.is_some() || group.is_some() {
            chown(path, owner, group)
                .map_err(|errno| SocketError::system(path, "set its owner", errno.into()))?;
        }
        listen(&bound.listener, Backlog::new(64).expect("small"))
            .map_err(|errno| SocketError::system(path, "listen", errno.into()))?;
        bound
            .listener
            .set_nonblocking(true)
            .map_err(system("listen"))?;
        Ok(bound)
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl SocketError {
    fn system(path: &Path, what: &'static str, error: io::Error) -> Self {
        Self::System {
            path: path.to_owned(),
            what,
            error,
        }
    }
}

#[derive(Debug)]
struct LockFile {
    path: PathBuf,
    _file: Flock<File>,
}

impl LockFile {
    fn take(socket: &Path) -> Result<Self, SocketError> {
        let mut name = socket.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&path)
                .map_err(|error| SocketError::system(&path, "open the lock file", error))?;
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                    return Err(SocketError::InUse(socket.to_owned()));
                }
                Err((_, errno)) => return Err(SocketError::system(&path, "lock", errno.into())),
            };
            // The one before us may have removed the file between our open and our lock; then
            // we hold a file that nobody else can find.
            let ours = file.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
            if ours.is_some() && ours == identity(&path) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for LockFile {
    /// Removes the file while the lock is still held.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The socket's directory, if we made it; goes again when it is empty.
#[derive(Debug)]
struct Directory(Option<PathBuf>);

impl Directory {
    /// Makes the socket's directory if only that is missing.
    fn make(socket: &Path) -> io::Result<Self> {
        match socket.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !parent.exists() => {
                std::fs::DirBuilder::new().mode(0o755).create(parent)?;
                Ok(Self(Some(parent.to_owned())))
            }
            _ => Ok(Self(None)),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(directory) = &self.0 {
            // Fails if somebody else put something there, as it should.
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// Removes a socket that a crash left behind.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SocketError::system(path, "look at it", error)),
    };
    if !meta.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
                .map_err(|error| SocketError::system(path, "remove the stale socket", error))
        }
        Err(error) => Err(SocketError::system(path, "see whether it is in use", error)),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path)
        .ok()
        .map(|meta| (meta.dev(), meta.ino()))
}

fn find_user(path: &Path, name: &str) -> Result<Uid, SocketError> {
    if let Ok(number) = name.parse() {
        return Ok(Uid::from_raw(number));
    }
    User::from_name(name)
        .map_err(|errno| SocketError::system(path, "look up its owner", errno.into()))?
        .map(|user| user.uid)
        .ok_or_else(|| SocketError::no_account(path, "user", name))
}

fn find_group(path: &Path, name: &str) -> Result<Gid, SocketError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    Group::from_name(name)
        .map_err(|errno| SocketError::system(path, "look up its group", errno.into()))?
        .map(|group| group.gid)
        .ok_or_else(|| SocketError::no_account(path, "group", name))
}

impl SocketError {
    fn no_account(path: &Path, kind: &'static str, name: &str) -> Self {
        Self::NoAccount {
            path: path.to_owned(),
            kind,
            name: name.to_owned(),
        }
    }
}
