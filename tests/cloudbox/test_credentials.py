"""The box's credentials provider: rights for things, by their certificate, as AWS gives them."""

import dataclasses
import shutil

import pytest

from firedetect.contract.names import PICTURES_ROLE_ALIAS
from firedetect.errors import LinkDownError, TransferError
from firedetect.uplink.rights import ask_for_rights
from firedetect.uplink.sdk import Endpoint
from tests.fakes.box import running_box

pytestmark = pytest.mark.slow


def identity(box, files, thing):
    return Endpoint(
        host="",
        port=0,
        client_id=thing,
        certificate=files.certificate,
        key=files.key,
        ca=box.authority.ca,
    )


async def test_a_thing_gets_the_rights_of_its_role_as_long_as_it_is_one(tmp_path):
    async with running_box(tmp_path / "box", wait=False) as box:
        # Issued by name, kept elsewhere: what the box forgets, the thing still has.
        files = box.authority.issue("thing-1")
        elsewhere = {
            name: shutil.copy(getattr(files, name), tmp_path) for name in ("certificate", "key")
        }
        own = identity(box, dataclasses.replace(files, **elsewhere), "thing-1")
        where = box.description()["credentials_endpoint"]

        def ask(asks=own, alias=PICTURES_ROLE_ALIAS, thing="thing-1"):
            return ask_for_rights(asks, where, alias, thing)

        # Its stacks are not created yet: that passes.
        with pytest.raises(LinkDownError, match="503"):
            await ask()
        await box.ready()
        rights = await ask()
        assert rights.token
        with pytest.raises(TransferError, match="404"):
            await ask(alias="another")
        with pytest.raises(TransferError, match="403"):
            await ask(thing="thing-2")
        for name in ("claim", "operator", "cloud"):
            with pytest.raises(TransferError, match="403"):
                await ask(identity(box, box.authority.kept(name), name), thing=name)
        nobody = dataclasses.replace(own, certificate=None, key=None)
        with pytest.raises(LinkDownError):
            await ask(nobody)
        box.authority.withdraw("thing-1")
        with pytest.raises(TransferError, match="403"):
            await ask()
