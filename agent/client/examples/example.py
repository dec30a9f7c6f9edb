"""Prints what the node is, that the cluster shared key is there, its peers as they come and go, and the
messages to this node. With INDEX and TEXT, sends a message to the peer with that index, through the chain.

    apt-get install python3-protobuf protobuf-compiler
    protoc -I../../api --python_out=. agent.proto
    python3 example.py [--once] [INDEX TEXT]

--once: ends when all that has come. AGENT_SOCKET: where the agent listens.
"""

import os
import socket
import sys

import agent_pb2 as pb
from google.protobuf.internal.decoder import _DecodeVarint
from google.protobuf.internal.encoder import _VarintBytes


class Agent:
    """A connection: sends Requests, iterates over the Responses."""

    def __init__(self, path=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path or os.environ.get("AGENT_SOCKET") or "/run/attestmesh/agent.sock")
        self.stream = self.socket.makefile("rb")

    def send(self, request):
        message = request.SerializeToString()
        self.socket.sendall(_VarintBytes(len(message)) + message)

    def __iter__(self):
        while prefix := self.stream.read(1):
            while prefix[-1] & 0x80:
                prefix += self.stream.read(1)
            length, _ = _DecodeVarint(prefix, 0)
            yield pb.Response.FromString(self.stream.read(length))


def name_of(enumeration, value):
    return enumeration.Name(value).lower().replace("_", "-")


def main(once, index=None, text=None):
    awaited = {"peers", "messages"}  # before --once ends
    if text is not None:
        awaited.add("sent")
    agent = Agent()
    # All at once; the answers come in turn.
    agent.send(pb.Request(id=1, get_status=pb.GetStatus()))
    agent.send(pb.Request(id=2, get_cluster_shared_key=pb.GetClusterSharedKey()))
    agent.send(pb.Request(id=3, subscribe_peer_events=pb.SubscribePeerEvents()))
    # Whoever keeps the cursor of the last message that is dealt with subscribes from there the next time.
    agent.send(pb.Request(id=4, subscribe_messages=pb.SubscribeMessages()))

    for response in agent:
        body = response.WhichOneof("body")
        if body == "status":
            phase = name_of(pb.Status.Phase, response.status.phase)
            print(f"status {phase}, {response.status.live_members} live members")
        elif body == "cluster_shared_key":  # what one does with it: derive keys of one's own; never print it
            key = response.cluster_shared_key
            print(f"key generation {key.generation}, {len(key.key)} bytes")
        elif body == "peer_event":
            event = response.peer_event
            peer = f" {event.peer.mesh_ipv4} {'up' if event.peer.up else 'down'}" if event.HasField("peer") else ""
            print(f"event {name_of(pb.PeerEvent.Kind, event.kind)}{peer}", flush=True)
            if event.kind == pb.PeerEvent.SYNCED:
                awaited.discard("peers")
            elif text is not None and event.peer.index == index:  # the present peers come first
                message = pb.SendMessage(recipient=event.peer.member_id, payload=text.encode())
                agent.send(pb.Request(id=5, send_message=message))
                text = None
        elif body == "message_event":
            event = response.message_event
            if event.kind == pb.MessageEvent.MESSAGE:
                print(f"message from {event.sender[:4].hex()}: {event.payload.decode(errors='replace')}", flush=True)
            elif event.kind == pb.MessageEvent.CAUGHT_UP:
                awaited.discard("messages")
        elif body == "message_sent":
            print("sent", flush=True)
            awaited.discard("sent")
        elif body == "error":
            print(f"error {response.error.text}")
            awaited.clear()
        if once and not awaited:
            return
    sys.exit("the agent is gone")


if __name__ == "__main__":
    words = sys.argv[1:]
    say = [word for word in words if word != "--once"]
    main("--once" in words, *([int(say[0]), say[1]] if len(say) == 2 else []))
