"""Worker processes that denoise uploaded recordings, and their output, read while it is written."""

import asyncio
import json
import multiprocessing
from collections.abc import AsyncIterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from unhiss.errors import UnhissError
from unhiss.serve import worker
from unhiss.serve.limits import Limits
from unhiss.serve.protocol import RequestError

CHUNK_SIZE = 1 << 16  # bytes of the output at a time
POLL_S = 0.02  # between looks at a file that is being written


class DenoiseJob:
    """A recording being denoised: `await job.output_info()`, then `async for chunk in job.chunks()`."""

    def __init__(self, future: Future[None], folder: Path) -> None:
        self._future, self._folder = future, folder

    async def output_info(self) -> worker.OutputInfo:
        """Waits until it is known. Raises RequestError if the job fails before."""
        path = self._folder / worker.INFO
        while not self._future.done() and not path.is_file():
            await asyncio.sleep(POLL_S)
        if self._future.done():
            self._raise_error()
        return worker.OutputInfo(*json.loads(path.read_text()))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The output while it is written. Raises RequestError if the job fails."""
        with (self._folder / worker.OUTPUT).open("rb") as file:
            while True:
                done = self._future.done()  # before the read, so that a read after the end finds everything
                if chunk := file.read(CHUNK_SIZE):
                    yield chunk
                elif done:
                    break
                else:
                    await asyncio.sleep(POLL_S)
        self._raise_error()

    def cancel(self) -> None:
        self._future.cancel()

    def _raise_error(self) -> None:
        try:
            self._future.result()
        except RequestError:
            raise
        except BrokenProcessPool:
            line = "the worker process of this recording died; the recording may be damaged"
            raise RequestError(500, line, "worker") from None
        except UnhissError as error:
            raise RequestError(422, str(error), "recording") from None


class WorkerPool:
    """`limits.workers` processes. If one dies, the jobs that run fail and new processes take the next ones."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._start_executor()

    def _start_executor(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        self._executor = ProcessPoolExecutor(self._limits.workers, context, initializer=worker.set_up_process)

    def submit(self, source: Path, folder: Path, request: worker.DenoiseRequest) -> DenoiseJob:
        """Denoise a recording; the output is written to `folder`."""
        arguments = (source, folder, request, self._limits)
        try:
            future = self._executor.submit(worker.denoise, *arguments)
        except BrokenProcessPool:
            self._executor.shutdown(wait=False)
            self._start_executor()
            future = self._executor.submit(worker.denoise, *arguments)
        return DenoiseJob(future, folder)

    def shut_down(self) -> None:
        for process in list((self._executor._processes or {}).values()):
            process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)
