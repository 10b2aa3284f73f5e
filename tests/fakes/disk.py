"""A disk thread that works at once, in the calling thread; `hangs` makes it never answer."""

from firedetect.errors import StorageError


class ImmediateDisk:
    hangs = False

    async def run(self, call, _limit_s=0.0):
        if self.hangs:
            raise StorageError("the disk does not answer")
        return call()

    def later(self, call, failed):
        if self.hangs:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - as the thread's future would
            failed(str(error))

    def close(self):
        pass
