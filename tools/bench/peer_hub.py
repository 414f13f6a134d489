"""The peer's side of tools/bench/hub: snapshot_download, timed from inside, twice. Prints one JSON line."""

import json
import sys
import time

from huggingface_hub import snapshot_download

repo, revision = sys.argv[1:]
seconds = []
for _ in range(2):  # the second call finds everything cached, and what the first one had to set up in the process
    start = time.perf_counter()
    folder = snapshot_download(repo, revision=revision)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": seconds[0], "again_seconds": seconds[1], "folder": folder}))
