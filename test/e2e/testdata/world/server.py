"""The servers of the test's internet: PORT alone is a web server; with WEB LAN OWN
WEB6 there are name servers, echoes and a ticker at WEB besides."""
import http.server, os, socket, socketserver, struct, sys, threading, time

DIR = os.path.dirname(os.path.abspath(__file__))
PORT = int(sys.argv[1])


class Page(http.server.SimpleHTTPRequestHandler):
    """/N.bytes are N bytes, a name below files/ that file, anything else a page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.strip("/").split("?")[0]
        path = os.path.join(DIR, "files", name)
        if os.path.isdir(path):
            path = os.path.join(path, "index.html")
        if name.endswith(".bytes"):
            return self.answer(int(name[:-6]), lambda n: b"x" * n)
        if name and os.path.isfile(path):
            with open(path, "rb") as f:
                return self.answer(os.path.getsize(path), f.read)
        if name and os.path.isdir(os.path.join(DIR, "files", name.split("/")[0])):
            return self.send_error(404)
        page = b"hello from outside\n"
        self.answer(len(page), lambda n: page)

    def answer(self, size, read):
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        while size > 0:
            part = read(min(size, 1 << 18))
            self.wfile.write(part)
            size -= len(part)

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 18)))
        self.answer(0, None)

    def log_message(self, *args):
        pass


class Web(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, *args):
        pass  # clients of these tests go away as they like


def zone(web, lan, own, web6):
    v4 = {b"lan.test": lan, b"own.test": own, b"meta.test": "169.254.169.254"}
    for name in (b"web.test", b"web.corp.test", b"apt.test", b"pip.test", b"npm.test"):
        v4[name] = web
    return v4, {b"six.test": web6}


def answer(q, v4, v6, stream):
    labels, i = [], 12
    while q[i]:
        labels.append(q[i + 1 : i + 1 + q[i]])
        i += 1 + q[i]
    kind = struct.unpack(">H", q[i + 1 : i + 3])[0]
    name = b".".join(labels).lower()
    known = name in v4 or name in v6 or name == b"long.test"
    data = []
    if kind == 1 and name in v4:
        data = [socket.inet_aton(v4[name])]
    elif kind == 28 and name in v6:
        data = [socket.inet_pton(socket.AF_INET6, v6[name])]
    elif kind == 16 and name == b"long.test":
        data = [bytes([200]) + b"%0200d" % n for n in range(60)]
    cut = len(data) > 2 and not stream
    flags = 0x8180 | (0 if known else 3) | (0x200 if cut else 0)
    out = q[:2] + struct.pack(">HHHHH", flags, 1, 0 if cut else len(data), 0, 0) + q[12 : i + 5]
    for d in [] if cut else data:
        out += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(d)) + d
    return out


def packets(at, port, reply):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((at, port))
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(reply(data), peer)


def streams(at, port, serve):
    class One(socketserver.StreamRequestHandler):
        def handle(self):
            serve(self.rfile, self.wfile)

    socketserver.ThreadingTCPServer.daemon_threads = True
    socketserver.ThreadingTCPServer((at, port), One).serve_forever()


def tick(r, w):
    """Sends numbered lines, and then what it gets."""
    for n in range(40):
        w.write(b"%d\n" % n)
        time.sleep(0.25)
    w.write(r.readline())


def name_server(zones):
    def serve(r, w):
        size = struct.unpack(">H", r.read(2))[0]
        out = answer(r.read(size), *zones, True)
        w.write(struct.pack(">H", len(out)) + out)

    return serve


def begin(f, *args):
    threading.Thread(target=f, args=args, daemon=True).start()


if len(sys.argv) > 2:
    web = sys.argv[2]
    zones = zone(*sys.argv[2:6])
    begin(packets, web, 53, lambda q: answer(q, *zones, False))
    begin(packets, web, 7, lambda data: data)
    begin(streams, web, 53, name_server(zones))
    begin(streams, web, 9, tick)
server = Web(("::", PORT), Page)
open(os.path.join(DIR, "up-%d" % PORT), "w").close()
server.serve_forever()
