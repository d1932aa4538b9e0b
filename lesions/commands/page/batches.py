"""The images that wait are classified together: the network takes a batch in the time of one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lesions.classifier import Classifier, Prediction
from lesions.commands.page.response import respond
from lesions.images.decode import is_large
from lesions.inference.predict import BATCH_SIZE
from lesions.models.calibration.metadata_prior import PatientMetadata

DECODERS = 2
"""Threads; one more decodes large images, so that others do not wait for these."""


class Batches:
    """Decodes images in threads, and hands those that are decoded to the network, as many at once as it takes."""

    def __init__(self, classifier: Classifier) -> None:
        """Begin without any image."""
        self.classifier = classifier
        self.decoders, self.large_decoder = ThreadPoolExecutor(DECODERS), ThreadPoolExecutor(1)
        self.decoded: asyncio.Queue[tuple[Prediction, asyncio.Future[dict[str, Any]]]] = asyncio.Queue()

    async def respond(self, content: bytes, metadata: PatientMetadata) -> dict[str, Any]:
        """Return what `response.respond` says of an image, once its turn has come.

        Args:
            content: the image file's bytes.
            metadata: see `patient_input.read`.
        """
        loop = asyncio.get_running_loop()
        image = ("", lambda: content, metadata)
        large = await loop.run_in_executor(self.decoders, is_large, content)
        threads = self.large_decoder if large else self.decoders
        prediction = await loop.run_in_executor(threads, self.classifier.decode, image)
        if prediction.problem:
            return respond(prediction, self.classifier)
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.decoded.put_nowait((prediction, answer))
        return await answer

    async def run(self) -> None:
        """Answer, until cancelled."""
        while True:
            waiting = [await self.decoded.get()]
            while len(waiting) < BATCH_SIZE and not self.decoded.empty():
                waiting.append(self.decoded.get_nowait())
            await self._answer(waiting)

    def close(self) -> None:
        """Decode no more of the images that wait."""
        for threads in (self.decoders, self.large_decoder):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, waiting: list[tuple[Prediction, asyncio.Future[dict[str, Any]]]]) -> None:
        try:
            found = await asyncio.to_thread(self._predict, [prediction for prediction, _ in waiting])
        except Exception as error:
            for _, answer in waiting:
                answer.set_exception(error)
            return
        for (_, answer), one in zip(waiting, found, strict=True):
            answer.set_result(one)

    def _predict(self, batch: list[Prediction]) -> list[dict[str, Any]]:
        return [respond(prediction, self.classifier) for prediction in self.classifier.predict(batch)]
