"""Programs of the benchmarks."""

import sys

import pytest

from benchmarks.stage import running


async def test_a_program_that_ends_leaves_its_status_and_its_last_output_in_the_error():
    program = "import sys; print('x' * 9000, file=sys.stderr); sys.exit('its reason')"

    async with running(sys.executable, "-c", program, name="a peer") as peer:
        with pytest.raises(RuntimeError, match=r"a peer has ended with 1; its last output: x+\nits reason$") as error:
            await peer.read()

    assert len(str(error.value)) < 3000
