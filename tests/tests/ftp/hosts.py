"""The two ends of tests with FTP and TFTP: `hosts.py serve IPV4 IPV6`, and `hosts.py ask ADDRESS...`,
which fetches and stores files in every way that there is, and says so; `ask-known ADDRESS...` does so at the
well-known ports alone."""

import ftplib
import io
import socket
import socketserver
import sys
import threading

DATA = bytes(range(256)) * 4096
FTP = [21, 2121]
TFTP = [69, 6900]


class Control(socketserver.StreamRequestHandler):
    """One control connection (RFC 959, RFC 2428)."""

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.own = self.connection.getsockname()[0]
        self.passive, self.active = None, None
        self.say("220 ready")
        for line in self.rfile:
            word, _, argument = line.decode().strip().partition(" ")
            answer = getattr(self, word.upper(), None)
            if answer is None:
                self.say("502 no")
            elif answer(argument) == "bye":
                return

    def USER(self, _):
        self.say("230 welcome")

    def TYPE(self, _):
        self.say("200 ok")

    def QUIT(self, _):
        # RFC 959 4.2: a reply of several lines, within which nothing is a reply.
        self.say("221-bye,\r\n227 (1,2,3,4,5,6)\r\n221 bye")
        return "bye"

    def listen(self):
        self.passive = socket.create_server((self.own, 0), family=self.connection.family)
        return self.passive.getsockname()[1]

    def PASV(self, _):
        high, low = divmod(self.listen(), 256)
        self.say(f"227 Entering Passive Mode ({self.own.replace('.', ',')},{high},{low}).")

    def EPSV(self, _):
        self.say(f"229 Entering Extended Passive Mode (|||{self.listen()}|)")

    def PORT(self, argument):
        *address, high, low = argument.split(",")
        self.active = (".".join(address), int(high) * 256 + int(low))
        self.say("200 ok")

    def EPRT(self, argument):
        _, _, address, port, _ = argument.split(argument[0])
        self.active = (address, int(port))
        self.say("200 ok")

    def data(self):
        if self.passive:
            self.passive.settimeout(5)
            connection, _ = self.passive.accept()
            self.passive.close()
        else:
            connection = socket.create_connection(self.active, 5, (self.own, 0))
        self.passive = self.active = None
        return connection

    def RETR(self, _):
        self.say("150 here it comes")
        with self.data() as connection:
            connection.sendall(DATA)
        self.say("226 done")

    def STOR(self, _):
        self.say("150 go on")
        with self.data() as connection:
            stored = b"".join(iter(lambda: connection.recv(65536), b""))
        self.say("226 done" if stored == DATA else "551 not what was sent")


class Ftp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Ftp6(Ftp):
    address_family = socket.AF_INET6


def serve_tftp(family, address, port):
    """RFC 1350: each answer comes from a port of its own."""
    requests = socket.socket(family, socket.SOCK_DGRAM)
    requests.bind((address, port))
    while True:
        _, client = requests.recvfrom(2048)
        answers = socket.socket(family, socket.SOCK_DGRAM)
        answers.bind((address, 0))
        answers.settimeout(5)
        for number in (1, 2):
            answers.sendto(b"\0\3" + bytes([0, number]) + DATA[: 512 if number == 1 else 9], client)
            answers.recvfrom(2048)


def serve(four, six):
    for port in FTP:
        for server in (Ftp((four, port), Control), Ftp6((six, port), Control)):
            threading.Thread(target=server.serve_forever, daemon=True).start()
    for port in TFTP:
        for family, address in ((socket.AF_INET, four), (socket.AF_INET6, six)):
            threading.Thread(target=serve_tftp, args=(family, address, port), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


def ask_ftp(address, port):
    for passive in (True, False):
        ftp = ftplib.FTP()
        # What the server says is to be right.
        ftp.trust_server_pasv_ipv4_address = True
        ftp.connect(address, port, timeout=5)
        ftp.login()
        ftp.set_pasv(passive)
        for _ in range(3):
            fetched = io.BytesIO()
            ftp.retrbinary("RETR file", fetched.write)
            assert fetched.getvalue() == DATA
            ftp.storbinary("STOR file", io.BytesIO(DATA))
        ftp.quit()
        print("ftp", address, port, "passive" if passive else "active", flush=True)
    # A command in pieces, each a segment of its own.
    with socket.create_connection((address, port), 5) as control:
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = control.makefile("r")
        own = control.getsockname()[0]
        with socket.create_server((own, 0), family=control.family) as server:
            listens = server.getsockname()[1]
            family = 2 if ":" in own else 1
            command = f"EPRT |{family}|{own}|{listens}|\r\n".encode()
            assert replies.readline().startswith("220")
            for at in range(0, len(command), 7):
                control.sendall(command[at : at + 7])
                threading.Event().wait(0.02)
            assert replies.readline().startswith("200")
            control.sendall(b"RETR file\r\n")
            server.settimeout(5)
            data, _ = server.accept()
            with data:
                fetched = b"".join(iter(lambda: data.recv(65536), b""))
            assert fetched == DATA
            control.sendall(b"QUIT\r\n")
            assert "221 bye" in replies.read()
            print("ftp", address, port, "pieces", flush=True)


def ask_tftp(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"\0\1file\0octet\0", (address, port))
        fetched = b""
        for number in (1, 2):
            answer, server = client.recvfrom(2048)
            assert server[1] != port and answer[:4] == b"\0\3" + bytes([0, number])
            fetched += answer[4:]
            client.sendto(b"\0\4" + answer[2:4], server)
        assert fetched == DATA[:512] + DATA[:9]
    print("tftp", address, port, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    count = 1 if sys.argv[1] == "ask-known" else 2
    for where in sys.argv[2:]:
        for port in FTP[:count]:
            ask_ftp(where, port)
        for port in TFTP[:count]:
            ask_tftp(where, port)
