"""The part of the page that says how the numbers came about."""

__all__ = ["HOW"]

HOW = """\
## How

`make bench` makes an environment with the peers, and within it one for litellm, whose many requirements would else
decide the versions of all; then it runs everything and writes this page. `make bench QUICK=1` does so in a few minutes,
with fewer and smaller runs.

```sh
make bench
make bench QUICK=1
make bench-micro
python -m benchmarks.page benchmarks/results/full.json
```

`make bench-micro` has the decoders and the accumulator alone, by pytest-benchmark. The last line writes the page anew
from the numbers of a run that is over.

- The server sends prerendered bytes from a process of its own, on a core of its own. Every runner has its own process,
  on the other core, and gets the same bytes; the texts that come out are compared with those that were sent.
- Each library is used as its own documentation says, with a client that is kept where it has one, and is warmed up.
- CPU is the process's own, user and system. A round has every runner once, the next round in the other order; a ratio
  is taken within each round, and the median of the rounds counts. The slowest runners take part in two rounds of five.
- One event in an HTTP chunk is what servers send as they generate, and what the bar is about; 64 in one is what a
  proxy makes of them.
- Paced streams: CPU is counted from where all streams have begun to where the first ends; `with the set-up` is all of
  it. Their beginnings are spread over one interval, so that each chunk wakes its reader alone. With 100, 500 and 2,000
  streams, as many chunks a second come in all: 2,500; with 4,000 plain ones 20,000, with 8,000 8,000. Resident memory
  is the process's highest; from 1,000 streams on, of a new process. `KB a stream` is how much the resident memory grew
  from before the streams to when the first of them ends, per stream: the task that awaits it is part of it.
- The loop is asyncio's own where no other is named.
- TLS is 1.3, with a certificate made for the run; every library loads its authority together with the public ones.
- The floor is a socket, a search for the events and a C JSON parser; it checks nothing. Where it is asynchronous, it
  has asyncio's streams. The bare protocol does the same as an `asyncio.Protocol` of its own, which wakes the coroutine
  that awaits the answer for each read.
- An import is timed in a new process, with a first call, but for any-llm (a client made) and litellm (the import only).
  Before `AsyncClient` had a transport of its own, it needed httpx, aiohttp, httpx-aiohttp and pydantic, so the import
  of those is what its own is compared with. At commit `1bfcc8f` its import alone took 0.66 of theirs (both in turns in
  one run; the first client loaded what was missing), and with the first call 1.07 (the page at that commit). The bar is
  0.8 times each.
- The first answer over TLS is what a new process takes for the making of the client, the context, the handshake and the
  answer. An answer without TLS comes before it, so that whatever a library imports with its first call is there.
- Distributions are counted from what is installed: what a library requires, what that requires, and so on.
"""
