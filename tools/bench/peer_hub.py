"""The peer's side of tools/bench/hub: snapshot_download, timed from inside: `peer_hub.py ORG/NAME REVISION CALLS`. JSON as
hub_bench's, with the folder."""

import json
import sys
import time

from huggingface_hub import snapshot_download

repo, revision, calls = sys.argv[1:]
seconds = []
for _ in range(int(calls)):
    start = time.perf_counter()
    folder = snapshot_download(repo, revision=revision)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"all_seconds": seconds, "seconds": seconds[0], "folder": folder}))
