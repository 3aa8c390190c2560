"""Load generators that are not Python: wrk for HTTP, ghz for gRPC, each with many different entities."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GHZ = "github.com/bojand/ghz/cmd/ghz@v0.93.0"
_GHZ_FOLDER = Path(__file__).parents[2] / "build" / "ghz"
# Requests one after the other from a list, each connection beginning elsewhere in it.
_LUA = """
local bodies = {{}}
for line in io.lines("{bodies}") do bodies[#bodies + 1] = line end
local turn = 0
init = function() turn = math.random(#bodies) end
request = function()
  turn = turn % #bodies + 1
  return wrk.format("POST", "{path}", {{["Content-Type"] = "application/json"}}, bodies[turn])
end
done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.stderr:write(string.format('{{"requests": %d, "micros": %d, "failed": %d, "p50": %d, "p99": %d}}\\n',
    summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Measured:
    """What a load met: requests per second, and latencies in milliseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float


def tool(name: str, how: str) -> str:
    """The path of a program. Ends the benchmark where it is missing, saying how to get it."""
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed; {how}")
    return found


def over_http(
    url: str, bodies: Sequence[dict[str, Any]], connections: int, seconds: int, path: str = "/get-online-features"
) -> Measured:
    """wrk in one thread. Ends the benchmark where a request fails: an error is answered faster than a question."""
    wrk = tool("wrk", "on Debian: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        lines, script = Path(folder) / "bodies", Path(folder) / "load.lua"
        lines.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
        script.write_text(_LUA.format(bodies=lines, path=path), encoding="utf-8")
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(result.stderr.splitlines()[-1])
    if found["failed"]:
        raise SystemExit(f"{found['failed']} of {found['requests']} requests to {url} failed:\n{result.stdout}")
    return Measured(found["requests"] / found["micros"] * 1e6, found["p50"] / 1e3, found["p99"] / 1e3)


def over_grpc(address: str, call: str, bodies: Sequence[dict[str, Any]], connections: int, seconds: int) -> Measured:
    """ghz in two threads. `call` is package.Service/Method; Feast's own messages are sent."""
    with tempfile.TemporaryDirectory() as folder:
        data, protoset = Path(folder) / "data.json", Path(folder) / "protoset"
        _protoset(protoset)
        data.write_text(json.dumps(list(bodies)), encoding="utf-8")
        command = [
            _ghz(), "--insecure", "--call", call, "--data-file", str(data), "--concurrency", str(connections),
            "--connections", str(connections), "--duration", f"{seconds}s", "--duration-stop", "wait",
            "--format", "json",
            "--protoset", str(protoset), address,
        ]  # fmt: skip
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(result.stdout)
    failed = {code: count for code, count in found["statusCodeDistribution"].items() if code != "OK"}
    if failed:
        raise SystemExit(f"requests to {address} failed: {failed}\n{result.stdout[:1000]}")
    latencies = {each["percentage"]: each["latency"] / 1e6 for each in found["latencyDistribution"]}
    return Measured(found["rps"], latencies[50], latencies[99])


def _protoset(file: Path) -> None:
    """Feast ships what was generated of its .proto files, and not these; the descriptors say the same."""
    from feast.protos.feast.serving import GrpcServer_pb2
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    found: dict[str, Any] = {}

    def add(descriptor: Any) -> None:
        for each in descriptor.dependencies:
            add(each)
        found.setdefault(descriptor.name, descriptor)

    add(GrpcServer_pb2.DESCRIPTOR)
    made = FileDescriptorSet()
    for descriptor in found.values():
        descriptor.CopyToProto(made.file.add())
    file.write_bytes(made.SerializeToString())


def _ghz() -> str:
    found = shutil.which("ghz")
    if found:
        return found
    made = _GHZ_FOLDER / "ghz"
    if not made.exists():
        go = tool("go", "it builds ghz, the load generator for gRPC")
        subprocess.run([go, "install", _GHZ], check=True, env={**os.environ, "GOBIN": str(_GHZ_FOLDER)})
    return str(made)
