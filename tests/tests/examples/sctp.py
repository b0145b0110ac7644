"""Two ends of an SCTP association in user space (libusrsctp over raw sockets): the kernel need not know SCTP.
`sctp.py answer ADDRESS PORT` sends messages back; `sctp.py ask ADDRESS PORT` sends some, compares
what comes back, and says so."""

import ctypes
import signal
import socket
import struct
import sys

SCTP = 132
lib = ctypes.CDLL("libusrsctp.so.2", use_errno=True)
lib.usrsctp_socket.restype = lib.usrsctp_accept.restype = ctypes.c_void_p
lib.usrsctp_sendv.restype = lib.usrsctp_recvv.restype = ctypes.c_ssize_t


def address(host, port):
    """A `struct sockaddr` for `host`, with its size."""
    if ":" in host:
        family, rest = socket.AF_INET6, struct.pack("!I16sI", 0, socket.inet_pton(socket.AF_INET6, host), 0)
    else:
        family, rest = socket.AF_INET, socket.inet_aton(host) + bytes(8)
    packed = struct.pack("=H", family) + struct.pack("!H", port) + rest
    return packed, ctypes.c_uint32(len(packed))


def done(value, what):
    if value is None or value < 0:
        raise OSError(ctypes.get_errno(), what)
    return value


class End:
    """An association, or where others begin."""

    def __init__(self, so):
        self.so = ctypes.c_void_p(so)

    @staticmethod
    def of(host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return End(done(lib.usrsctp_socket(family, socket.SOCK_STREAM, SCTP, None, None, 0, None), "socket"))

    def send(self, message):
        sent = lib.usrsctp_sendv(
            self.so, message, ctypes.c_size_t(len(message)), None, 0, None, 0, 0, 0
        )
        assert done(sent, "send") == len(message)

    def receive(self):
        message, flags = ctypes.create_string_buffer(65536), ctypes.c_int(0)
        infos, kind = ctypes.c_uint32(0), ctypes.c_uint(0)
        size = lib.usrsctp_recvv(
            self.so, message, ctypes.c_size_t(65536), None, None,
            None, ctypes.byref(infos), ctypes.byref(kind), ctypes.byref(flags),
        )
        return message.raw[: done(size, "receive")]


def answer(host, port):
    listening = End.of(host)
    done(lib.usrsctp_bind(listening.so, *address(host, port)), "bind")
    done(lib.usrsctp_listen(listening.so, 5), "listen")
    print("ready", flush=True)
    while True:
        association = End(done(lib.usrsctp_accept(listening.so, None, None), "accept"))
        while message := association.receive():
            association.send(message)
        lib.usrsctp_close(association.so)


def ask(host, port):
    # Nobody waits for ever.
    signal.alarm(30)
    association = End.of(host)
    done(lib.usrsctp_connect(association.so, *address(host, port)), "connect")
    for size in (1, 3, 1000, 5000):
        message = bytes(at * 7 % 251 for at in range(size))
        association.send(message)
        back = b""
        while len(back) < size:
            back += association.receive()
        assert back == message
    done(lib.usrsctp_shutdown(association.so, socket.SHUT_WR), "shutdown")
    assert association.receive() == b""
    lib.usrsctp_close(association.so)
    print("answered", flush=True)


if __name__ == "__main__":
    # Without a part it only says whether the library is there.
    if len(sys.argv) > 1:
        lib.usrsctp_init(0, None, None)
        {"answer": answer, "ask": ask}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
