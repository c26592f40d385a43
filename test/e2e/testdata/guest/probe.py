"""Tries what a network of an instance is for, and prints a line for each: a name
and "ok", or what went wrong. Its arguments are WEB and WEB6."""
import concurrent.futures, os, socket, struct, sys, urllib.request

WEB, WEB6, GATEWAY = sys.argv[1], sys.argv[2], "10.211.212.1"
PATIENCE = 20


def checksum(b):
    n = sum(struct.unpack(">%dH" % (len(b) // 2), b))
    while n >> 16:
        n = (n & 0xFFFF) + (n >> 16)
    return ~n & 0xFFFF


def echo(to, family, proto, request, reply):
    s = socket.socket(family, socket.SOCK_RAW, proto)
    s.settimeout(PATIENCE)
    data = os.urandom(32)
    head = struct.pack(">BBHHH", request, 0, 0, 4711, 1)
    if family == socket.AF_INET:
        head = struct.pack(">BBHHH", request, 0, checksum(head + data), 4711, 1)
    s.sendto(head + data, (to, 0))
    while True:
        got = s.recv(4096)
        if family == socket.AF_INET:
            got = got[20:]
        if got[0] == reply:
            return got[4:] == head[4:] + data


def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    for size in (1, 1400, 9000):
        s.sendto(b"u" * size, (WEB, 7))
        if len(s.recv(65536)) != size:
            return False
    return True


def question(name, kind):
    q = struct.pack(">HHHHHH", 4711, 0x100, 1, 0, 0, 0)
    for label in name.split("."):
        q += bytes([len(label)]) + label.encode()
    return q + b"\0" + struct.pack(">HH", kind, 1)


def dns_tcp():
    """Sixty records, which a packet does not hold, also on their way from the server."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    s.sendto(question("long.test", 16), (GATEWAY, 53))
    if not s.recv(65536)[2] & 2:
        return "no truncation over UDP"
    s = socket.create_connection((GATEWAY, 53), PATIENCE)
    q = question("long.test", 16)
    s.sendall(struct.pack(">H", len(q)) + q)
    f = s.makefile("rb")
    got = f.read(struct.unpack(">H", f.read(2))[0])
    return struct.unpack(">H", got[6:8])[0] == 60 and len(got) > 12000


def page(url):
    return urllib.request.urlopen(url, timeout=PATIENCE).read() == b"hello from outside\n"


def black_holes():
    """Ten connections that nobody answers hold up nothing else."""
    holes = []
    for n in range(10):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("93.184.218.%d" % (n + 1), 80))
        holes.append(s)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return all(pool.map(page, ["http://%s/" % WEB] * 8))


def alone():
    """Nothing but the gateway is on the guest's network, and that has no service but DNS."""
    for to in ("10.211.212.0", "10.211.212.3", "10.211.212.1", "10.211.212.6"):
        try:
            socket.create_connection((to, 9000), 5).close()
            return to + " is there"
        except OSError:
            pass
    return True


for name, f in (
    ("echo", lambda: echo(WEB, socket.AF_INET, socket.IPPROTO_ICMP, 8, 0)),
    ("echo6", lambda: echo(WEB6, socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129)),
    ("tcp6", lambda: page("http://six.test/")),
    ("udp", udp),
    ("dns-tcp", dns_tcp),
    ("black-holes", black_holes),
    ("alone", alone),
):
    try:
        got = f()
    except Exception as e:
        got = repr(e)
    print(name, "ok" if got is True else got, flush=True)
