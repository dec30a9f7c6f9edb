"""Prints what the node is, that the cluster shared key is there, and its peers as they come and go.

    apt-get install python3-protobuf protobuf-compiler
    protoc -I../../api --python_out=. agent.proto
    python3 example.py [--once]      --once: ends after the present peers; AGENT_SOCKET: where the agent listens
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


def main(once):
    agent = Agent()
    # All at once; the answers come in turn.
    agent.send(pb.Request(id=1, get_status=pb.GetStatus()))
    agent.send(pb.Request(id=2, get_cluster_shared_key=pb.GetClusterSharedKey()))
    agent.send(pb.Request(id=3, subscribe_peer_events=pb.SubscribePeerEvents()))

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
            if once and event.kind == pb.PeerEvent.SYNCED:
                return
        elif body == "error":
            print(f"error {response.error.text}")
    sys.exit("the agent is gone")


if __name__ == "__main__":
    main("--once" in sys.argv[1:])
