"""Supply, heat and known answer: a trouble while it is so, nothing where nothing is shown."""

import pytest

from firedetect.daemon.self_check import SelfCheck


@pytest.fixture
def machine(tmp_path):
    """A machine whose files can be written; `look` returns the troubles that are told then."""
    told = {}
    answer = {"known": True}
    check = SelfCheck(lambda: answer["known"], told.__setitem__, tmp_path)

    def look(*, known=True, **files):
        for name, text in files.items():
            path = (
                tmp_path
                / {
                    "temp": "class/thermal/thermal_zone0/temp",
                    "name": "class/hwmon/hwmon3/name",
                    "alarm": "class/hwmon/hwmon3/in0_lcrit_alarm",
                }[name]
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        answer["known"] = known
        check.look()
        return {name for name, detail in told.items() if detail}

    return look


def test_a_machine_that_shows_nothing_has_no_trouble(machine):
    assert machine() == set()
    assert machine(known=None) == set()
    assert machine(temp="", name="cpu_thermal\n", alarm="1\n") == set()
    assert machine(temp="warm\n") == set()


@pytest.mark.fault("F62")
def test_under_voltage_is_a_trouble_while_the_kernel_tells_it(machine):
    assert machine(name="rpi_volt\n", alarm="0\n") == set()
    assert machine(alarm="1\n") == {"supply"}
    assert machine(alarm="0\n") == set()


@pytest.mark.fault("F64")
def test_a_processor_that_is_slowed_down_is_a_trouble_until_it_is_cool(machine):
    milli_c = ["79900", "80000", "76000", "74900", "79000"]
    assert [machine(temp=f"{one}\n") == {"heat"} for one in milli_c] == [
        False, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.fault("F31")
def test_a_model_that_forgets_what_a_fire_is_is_a_trouble(machine):
    assert machine(known=False) == {"known-answer"}
    assert machine(known=True) == set()
