"""moto's S3 server on the loopback interface, in an environment of its own; it minds credentials as Amazon does."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pyarrow import fs

from data.environments import python_with
from featureplane.local.redis_server import HOST, free_ports

WANTED = ("moto[s3,server]==5.2.5",)
REGION = "eu-central-1"
BUCKET = "lake"
_PATIENCE = 60
# A user who may do everything with buckets, and from then on nobody else may.
_SET_UP = """
import boto3, json, sys, urllib.request
url, region, bucket = sys.argv[1:]
where = dict(endpoint_url=url, region_name=region, aws_access_key_id="any", aws_secret_access_key="any")
iam = boto3.client("iam", **where)
iam.create_user(UserName="user")
key = iam.create_access_key(UserName="user")["AccessKey"]
allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
iam.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=policy)
place = {"LocationConstraint": region}
boto3.client("s3", **where).create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
text = {"Content-Type": "text/plain"}
urllib.request.urlopen(urllib.request.Request(url + "/moto-api/reset-auth", b"0", text)).read()
print(json.dumps([key["AccessKeyId"], key["SecretAccessKey"]]))
"""


@dataclass(frozen=True)
class S3Server:
    url: str
    key: str
    secret: str = field(repr=False)

    @property
    def credentials(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}

    def opened(self) -> fs.S3FileSystem:
        return fs.S3FileSystem(endpoint_override=self.url, region=REGION, access_key=self.key, secret_key=self.secret)

    def content(self, address: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        name = address.removeprefix("s3://")
        (info,) = self.opened().get_file_info([name])
        return bytes(self.opened().open_input_stream(name).read()) if info.type == fs.FileType.File else None


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server with one bucket; its log is in the folder."""
    python = python_with("moto/server", WANTED)
    url = f"http://{HOST}:{(port := next(free_ports()))}"
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [python.with_name("moto_server"), "-H", HOST, "-p", str(port)], stdout=log, stderr=log
        )
    try:
        _wait(process, url, folder / "moto.log")
        ran = subprocess.run(
            [python, "-c", _SET_UP, url, REGION, BUCKET], capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        yield S3Server(url, *json.loads(ran.stdout))
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            httpx.get(f"{url}/moto-api/", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"moto does not answer: {log.read_text()[-2000:]}")
