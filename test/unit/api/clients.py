"""The application socket with clients that share no code with the server's codec: the stock protobuf runtime, and
meshctl as a user calls it.

usage: clients.py FIXTURE MESHCTL PROTOC PROTO
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest

FIXTURE, MESHCTL, PROTOC, PROTO = sys.argv[1:5]
folder = tempfile.TemporaryDirectory()
subprocess.run([PROTOC, "--proto_path", os.path.dirname(PROTO), "--python_out", folder.name, PROTO], check=True)
sys.path.insert(0, folder.name)
import agent_pb2 as pb  # noqa: E402
from google.protobuf.internal.decoder import _DecodeVarint32  # noqa: E402
from google.protobuf.internal.encoder import _VarintBytes  # noqa: E402


class Node:
    """The fixture: a server with invented members, told what to do by lines."""

    def __init__(self, members):
        self.path = os.path.join(folder.name, f"{members}.sock")
        self.process = subprocess.Popen(
            [FIXTURE, self.path, str(members)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(10)


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.buffer = b""

    def send(self, **fields):
        message = pb.Request(**fields).SerializeToString()
        self.socket.sendall(_VarintBytes(len(message)) + message)

    def receive(self):
        while True:
            try:
                length, start = _DecodeVarint32(self.buffer, 0)
                if len(self.buffer) >= start + length:
                    message = self.buffer[start : start + length]
                    self.buffer = self.buffer[start + length :]
                    return pb.Response.FromString(message)
            except IndexError:
                pass
            more = self.socket.recv(65536)
            assert more, "the agent has ended the connection"
            self.buffer += more

    def ask(self, **fields):
        self.send(**fields)
        return self.receive()


class StockProtobuf(unittest.TestCase):
    def setUp(self):
        self.node = Node(4)
        self.client = Client(self.node.path)

    def tearDown(self):
        self.client.socket.close()
        self.assertEqual(self.node.stop(), 0)

    def test_status(self):
        response = self.client.ask(id=1 << 63, get_status=pb.GetStatus())
        self.assertEqual(response.id, 1 << 63)
        self.assertEqual(response.status.phase, pb.Status.WG_CONFIGURING)
        self.assertEqual((response.status.members, response.status.live_members), (4, 4))
        self.assertEqual(response.status.reason, "waiting for handshakes")

    def test_self_is_unavailable_then_known(self):
        self.assertEqual(self.client.ask(id=1, get_self=pb.GetSelf()).error.code, pb.Error.UNAVAILABLE)
        self.node.tell("identify")
        response = self.client.ask(id=2, get_self=pb.GetSelf())
        self.assertEqual(getattr(response, "self").member_id, b"\x11" * 32)

    def test_peers(self):
        page = self.client.ask(id=1, list_peers=pb.ListPeers()).peer_page
        self.assertEqual([peer.index for peer in page.peers], [1, 2, 3])
        self.assertEqual(page.peers[0].mesh_ipv4, "10.13.0.2")
        self.assertEqual(page.peers[0].mesh_ipv6, "fd00::1")
        self.assertEqual(page.peers[0].member_id, b"\xee" * 32)
        self.assertFalse(page.peers[0].HasField("handshake_age_s"))

    def test_events(self):
        self.client.send(id=9, subscribe_peer_events=pb.SubscribePeerEvents())
        events = [self.client.receive().peer_event for _ in range(4)]
        self.assertEqual([event.kind for event in events], [pb.PeerEvent.PRESENT] * 3 + [pb.PeerEvent.SYNCED])
        for line in ("up 2", "join", "remove 1"):
            self.node.tell(line)
        events = [self.client.receive() for _ in range(3)]
        self.assertEqual([event.id for event in events], [9] * 3)
        kinds = [(event.peer_event.kind, event.peer_event.peer.index) for event in events]
        self.assertEqual(kinds, [(pb.PeerEvent.UP, 2), (pb.PeerEvent.JOINED, 4), (pb.PeerEvent.REMOVED, 1)])
        self.assertEqual(events[0].peer_event.peer.transport, pb.Peer.GATEWAY)
        self.assertEqual(self.client.ask(id=10, cancel=pb.Cancel(id=9)).WhichOneof("body"), "done")

    def test_message_is_answered_when_it_is_included_and_not_before(self):
        self.client.send(id=5, send_message=pb.SendMessage(recipient=b"\xee" * 32, payload=b"hello"))
        self.assertEqual(self.client.ask(id=6, get_status=pb.GetStatus()).id, 6)
        self.node.tell("include")
        answer = self.client.receive()
        self.assertEqual((answer.id, answer.message_sent.tx_hash), (5, b"\x02" + b"\0" * 31))

    def test_message_that_is_given_up_says_why(self):
        self.client.send(id=5, send_message=pb.SendMessage(recipient=b"\xee" * 32, payload=b"hello"))
        self.client.ask(id=6, get_status=pb.GetStatus())
        self.node.tell("deny")
        self.assertEqual(self.client.receive().error.text, "nobody pays")

    def test_message_that_is_too_long_is_refused_and_the_connection_lives(self):
        for size in (8144, 65000):
            message = pb.SendMessage(recipient=b"\xee" * 32, payload=b"x" * size)
            error = self.client.ask(id=5, send_message=message).error
            self.assertEqual((error.code, error.text), (pb.Error.INVALID_ARGUMENT, f"the payload has {size} bytes"))

    def test_messages_wait_for_a_slow_reader_and_none_is_lost(self):
        self.client.send(id=3, subscribe_messages=pb.SubscribeMessages())
        other = Client(self.node.path)
        other.ask(id=1, get_status=pb.GetStatus())  # the agent goes on meanwhile
        other.socket.close()
        events = [self.client.receive().message_event for _ in range(101)]
        self.assertEqual([event.cursor.block for event in events[:-1]], list(range(1, 101)))
        self.assertEqual(events[-1].kind, pb.MessageEvent.CAUGHT_UP)

    def test_messages_begin_behind_the_cursor_and_end_with_cancel(self):
        after = pb.Cursor(block=98)
        self.client.send(id=3, subscribe_messages=pb.SubscribeMessages(after=after))
        self.assertEqual([self.client.receive().message_event.cursor.block for _ in range(3)], [99, 100, 0])
        again = self.client.ask(id=4, subscribe_messages=pb.SubscribeMessages())
        self.assertEqual(again.error.code, pb.Error.FAILED_PRECONDITION)
        self.assertEqual(self.client.ask(id=5, cancel=pb.Cancel(id=3)).WhichOneof("body"), "done")
        self.assertEqual(self.client.ask(id=6, cancel=pb.Cancel(id=3)).error.code, pb.Error.NOT_FOUND)

    def test_answer_to_a_connection_that_ended_is_for_nobody(self):
        self.client.send(id=5, send_message=pb.SendMessage(recipient=b"\xee" * 32, payload=b"hello"))
        self.client.ask(id=6, get_status=pb.GetStatus())
        self.client.socket.close()
        self.client = Client(self.node.path)
        self.client.ask(id=5, get_status=pb.GetStatus())
        self.node.tell("include")
        self.assertEqual(self.client.ask(id=7, get_status=pb.GetStatus()).id, 7)


class Meshctl(unittest.TestCase):
    def setUp(self):
        self.node = Node(70)
        self.node.tell("up 2")

    def tearDown(self):
        self.assertEqual(self.node.stop(), 0)

    def run_meshctl(self, *arguments, code=0):
        command = [MESHCTL, "--socket", self.node.path, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_status(self):
        self.node.tell("identify")
        text = self.run_meshctl("status").stdout
        self.assertIn("phase            wg-configuring\n", text)
        self.assertIn("mesh address     10.13.0.1", text)
        answer = json.loads(self.run_meshctl("status", "--json").stdout)
        self.assertEqual(answer["phase"], "wg-configuring")
        self.assertEqual(answer["self"]["member_id"], "0x" + "11" * 32)

    def test_status_before_identity(self):
        self.assertIsNone(json.loads(self.run_meshctl("status", "--json").stdout)["self"])
        self.assertIn("reason           waiting for handshakes\n", self.run_meshctl("status").stdout)

    def test_status_check_fails_unless_healthy(self):
        self.run_meshctl("status", "--check", code=3)

    def test_peers_over_several_pages(self):
        lines = self.run_meshctl("peers").stdout.splitlines()
        self.assertEqual(len(lines), 70)
        self.assertEqual(lines[2].split()[:6], ["2", "eeeeeeeeeeee", "10.13.0.3", "up", "gateway", "3s"])
        rows = [json.loads(line) for line in self.run_meshctl("peers", "--json").stdout.splitlines()]
        self.assertEqual([row["index"] for row in rows], list(range(1, 70)))
        self.assertEqual((rows[0]["handshake_age_s"], rows[1]["handshake_age_s"]), (None, 3))

    def test_ops(self):
        self.assertEqual(len(self.run_meshctl("ops").stdout.splitlines()), 1)
        self.node.tell("operate")
        row = self.run_meshctl("ops").stdout.splitlines()[1].split()
        self.assertEqual(row[:4], ["2023-11-14T22:13:20.000Z", "registration", "included", "0x" + "ab" * 32])
        self.assertEqual(row[5], "340282366920938463463.374607431")
        answer = json.loads(self.run_meshctl("ops", "--json").stdout)
        self.assertEqual((answer["purpose"], answer["outcome"], answer["attempts"]), ("registration", "included", 1))

    def test_events_without_follow_end_with_the_present_state(self):
        lines = self.run_meshctl("events").stdout.splitlines()
        self.assertEqual(len(lines), 70)
        self.assertTrue(lines[-1].endswith("  synced"), lines[-1])

    def test_events_follow(self):
        command = [MESHCTL, "--socket", self.node.path, "events", "--follow", "--json"]
        follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        events = [json.loads(follower.stdout.readline()) for _ in range(70)]
        self.assertEqual([event["event"] for event in events], ["present"] * 69 + ["synced"])
        self.node.tell("down 2")
        event = json.loads(follower.stdout.readline())
        self.assertEqual((event["event"], event["peer"]["index"], event["peer"]["up"]), ("down", 2, False))
        follower.terminate()
        follower.stdout.close()
        follower.wait()

    def test_send(self):
        command = [MESHCTL, "--socket", self.node.path, "send", "10.13.0.3", "hello", "--json"]
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while sender.poll() is None:
            self.node.tell("include")
        self.assertEqual(json.loads(sender.stdout.read())["envelope_id"], "0x01" + "00" * 31)
        sender.stdout.close()

    def test_recv(self):
        lines = self.run_meshctl("recv", "--from", "98").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["99:0", "100:0"])
        self.assertTrue(lines[0].endswith("\\x00" * 10))
        events = [json.loads(line) for line in self.run_meshctl("recv", "--from", "99:7", "--json").stdout.splitlines()]
        self.assertEqual([event["event"] for event in events], ["message", "caught up"])
        self.assertEqual((events[0]["cursor"], len(events[0]["payload"])), ("100:0", 2 + 2 * 8143))
        for cursor in ("x", "-1", "5:", "5:x", "5:4294967296"):
            self.assertIn("BLOCK:INDEX", self.run_meshctl("recv", "--from", cursor, code=2).stderr)

    def test_send_to_nobody_and_to_somebody(self):
        self.assertIn("10.99.0.1: the registry has no such member", self.run_meshctl("send", "10.99.0.1", "x", code=1).stderr)
        self.assertIn("eeee: several members are called so", self.run_meshctl("send", "eeee", "x", code=1).stderr)
        self.assertIn("9000 bytes", self.run_meshctl("send", "2", "x" * 9000, code=1).stderr)

    def test_wrong_usage(self):
        self.assertIn("usage: meshctl", self.run_meshctl(code=2).stderr)
        self.assertIn("there is no command", self.run_meshctl("statsu", code=2).stderr)
        self.assertIn("usage: meshctl", self.run_meshctl("--bogus", "status", code=2).stderr)
        self.assertIn("usage: meshctl", self.run_meshctl("--help").stdout)

    def test_absent_agent(self):
        done = subprocess.run([MESHCTL, "--socket", "/nowhere/agent.sock", "peers"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/agent.sock: the agent is not running", done.stderr)

    def test_down_refuses_while_the_agent_runs(self):
        self.assertIn("is running; stop it first", self.run_meshctl("down", code=1).stderr)

    @unittest.skipUnless(os.geteuid() == 0, "only root has namespaces of its own")
    def test_down_removes_the_device(self):
        script = (
            "mount -t tmpfs tmpfs /run && wireguard-go attestmesh0 && \"$0\" --socket /nowhere down"
            " && ! ip link show attestmesh0 && \"$0\" --socket /nowhere down"
        )
        command = ["unshare", "--net", "--mount", "sh", "-ec", script, os.path.abspath(MESHCTL)]
        environment = {**os.environ, "WG_BACKEND": "userspace"}
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20)
        self.assertEqual(done.returncode, 0, done.stderr)


unittest.main(argv=[sys.argv[0], "-v"])
