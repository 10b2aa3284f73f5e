"""The configuration: read whole, refused with the key's name, the environment wins."""

import math

import pytest
from pydantic import ValidationError

from firedetect.config import GasBaseline, Settings, load_gas_baseline, load_settings
from firedetect.contract.settings import Confirmation, DecisionSettings, HardLimits, Thresholds
from firedetect.errors import ConfigError


@pytest.fixture
def written(tmp_path):
    def write(text, name="firedetect.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refused(path=None):
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_without_a_file_everything_is_default():
    assert load_settings() == Settings()


def test_a_file_sets_what_it_names_and_nothing_else(written):
    path = written('[device]\nid = "hall-2"\n[decision.thresholds]\nalert = 0.55\n')
    settings = load_settings(path)
    assert settings.device.id == "hall-2"
    assert settings.decision.thresholds.alert == 0.55
    assert settings.decision.thresholds.warning == Thresholds().warning
    assert settings.thermal == Settings().thermal


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[thermel]\nbus = 1\n", "thermel"),
        ("[thermal]\nbuss = 1\n", "thermal.buss"),
        ("[decision.hard]\nair_emergency = 50\n", "decision.hard.air_emergency"),
        ("[decision.confirm]\nm = 1\n", "decision.confirm.m"),
        ("surprise = 1\n", "surprise"),
    ],
)
def test_an_unknown_key_is_named(written, text, key):
    message = refused(written(text))
    assert f"{key}: unknown key" in message
    assert "firedetect.toml" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device.id", '"has space"'),
        ("device.id", '""'),
        ("device.id", '"a\\n"'),
        ("device.site", '"' + "x" * 129 + '"'),
        ("device.site_class", '"castle"'),
        ("thermal.bus", "-1"),
        ("thermal.bus", "256"),
        ("thermal.address", "7"),
        ("thermal.address", "120"),
        ("thermal.refresh_hz", "3"),
        ("thermal.pattern", '"stripes"'),
        ("thermal.emissivity", "0.0"),
        ("thermal.emissivity", "nan"),
        ("thermal.ta_shift_c", "31.0"),
        ("thermal.enabled", '"perhaps"'),
        ("gas.bus", "1.5"),
        ("gas.address", "0"),
        ("gas.interval_s", "0.4"),
        ("gas.interval_s", "inf"),
        ("co2.bus", "-1"),
        ("co2.address", "99"),
        ("co2.interval_s", "4.9"),
        ("co2.interval_s", "8.1"),
        ("air.bus", "256"),
        ("air.address", "117"),
        ("air.address", "120"),
        ("air.interval_s", "0.9"),
        ("air.interval_s", "5.1"),
        ("decision.hold_s", "9.9"),
        ("decision.hold_s", "601.0"),
        ("decision.hysteresis", "-0.01"),
        ("decision.hysteresis", "0.21"),
        ("decision.silence_max_s", "601"),
        ("decision.thresholds.informational", "0.04"),
        ("decision.thresholds.informational", "0.41"),
        ("decision.thresholds.warning", "0.61"),
        ("decision.thresholds.alert", "0.76"),
        ("decision.thresholds.emergency", "0.91"),
        ("decision.thresholds.emergency", "nan"),
        ("decision.confirm.k", "0"),
        ("decision.confirm.n", "9"),
        ("decision.confirm_emergency.k", "9"),
        ("outputs.siren_line", "64"),
        ("outputs.light_line", "-1"),
        ("outputs.trouble_line", "1.5"),
        ("web.port", "65536"),
        ("web.port", "-1"),
        ("log.format", '"loud"'),
        ("log.level", '"quiet"'),
    ],
)
def test_a_value_out_of_range_names_its_key(written, key, value):
    section, name = key.rsplit(".", 1)
    assert f": {key}: " in refused(written(f"[{section}]\n{name} = {value}\n"))


@pytest.mark.parametrize(
    ("thresholds", "ordered"),
    [
        ((0.1, 0.2, 0.3, 0.4), True),
        ((0.2, 0.2, 0.6, 0.8), False),
        ((0.2, 0.5, 0.5, 0.8), False),
        ((0.2, 0.4, 0.7, 0.7), False),
        ((0.4, 0.3, 0.6, 0.8), False),
        ((0.05, 0.06, 0.07, 0.08), True),
        ((0.4, 0.6, 0.75, 0.9), True),
    ],
)
def test_thresholds_must_increase(written, thresholds, ordered):
    names = ("informational", "warning", "alert", "emergency")
    lines = [f"{name} = {value}" for name, value in zip(names, thresholds, strict=True)]
    path = written("\n".join(["[decision.thresholds]", *lines]))
    if ordered:
        assert load_settings(path).decision.thresholds.emergency == thresholds[3]
    else:
        message = refused(path)
        assert "decision.thresholds" in message
        assert "increase strictly" in message


def test_k_of_n_must_be_possible(written):
    message = refused(written("[decision.confirm]\nk = 5\nn = 4\n"))
    assert "decision.confirm" in message
    assert "k must not exceed n" in message
    assert Confirmation(k=4, n=4).k == 4


@pytest.mark.fault("F43")
@pytest.mark.parametrize("name", list(HardLimits.model_fields))
def test_hard_limits_become_more_sensitive_only(written, name):
    floor = HardLimits.model_fields[name].default
    message = refused(written(f"[decision.hard]\n{name} = {floor + 0.01}\n"))
    assert f"decision.hard.{name}" in message
    assert getattr(
        load_settings(written(f"[decision.hard]\n{name} = {floor - 0.01}\n")).decision.hard, name
    ) == pytest.approx(floor - 0.01)


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError):
        DecisionSettings().hold_s = 1.0


def test_the_environment_wins_over_the_file(written, monkeypatch):
    path = written("[web]\nport = 9000\n[thermal]\nrefresh_hz = 4\n")
    monkeypatch.setenv("FIREDETECT_WEB__PORT", "9001")
    monkeypatch.setenv("FIREDETECT_DECISION__THRESHOLDS__ALERT", "0.5")
    settings = load_settings(path)
    assert settings.web.port == 9001
    assert settings.thermal.refresh_hz == 4
    assert settings.decision.thresholds.alert == 0.5


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("FIREDETECT_THERMEL__BUS", "1", "THERMEL"),
        ("FIREDETECT_THERMAL__BUSS", "1", "thermal.buss"),
        ("FIREDETECT_THERMAL__BUS", "many", "thermal.bus"),
        ("FIREDETECT_DECISION__HARD__PIXEL_ALERT_C", "151", "decision.hard.pixel_alert_c"),
    ],
)
def test_a_wrong_name_in_the_environment_is_named(monkeypatch, name, value, key):
    monkeypatch.setenv(name, value)
    assert key in refused()


def test_names_of_other_programs_are_none_of_ours(monkeypatch):
    monkeypatch.setenv("FIREDETECT_CONFIG", "elsewhere.toml")
    monkeypatch.setenv("SOMEBODY__ELSE", "1")
    assert load_settings() == Settings()


@pytest.mark.fault("F43")
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"[thermal\n", "TOML"),
        (b"\xff\xfe\x00", "TOML"),
        (b"[web]\nport = 1\nport = 2\n", "TOML"),
        (b"thermal = 3\n", "thermal"),
        (b"[decision]\nthresholds = [1, 2]\n", "decision.thresholds"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, content, word):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    message = refused(path)
    assert word in message
    assert "broken.toml" in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert refused(tmp_path / "none.toml").endswith("none.toml: no such file")
    assert str(tmp_path) in refused(tmp_path)


GAS = "[gas]\nno2 = 40\nc2h5oh = 70.5\nvoc = 95\nco = 760\n"


def test_a_gas_calibration_is_read(written):
    assert load_gas_baseline(written(GAS)) == GasBaseline(no2=40, c2h5oh=70.5, voc=95, co=760)
    span = load_gas_baseline(written(GAS + "co_a = 10.0\nco_beta = 0.5\n"))
    assert (span.co_a, span.co_beta) == (10.0, 0.5)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "gas.no2"),
        ("gas = 3\n", "gas."),
        ("[gas]\nno2 = 40\nc2h5oh = 70\nvoc = 95\n", "gas.co"),
        (GAS.replace("760", "1023"), "gas.co"),
        (GAS.replace("760", "0"), "gas.co"),
        (GAS.replace("760", "nan"), "gas.co"),
        (GAS + "co2 = 400\n", "gas.co2: unknown key"),
        (GAS + "co_a = -1.0\n", "gas.co_a"),
        (GAS + "co_beta = 3.0\n", "gas.co_beta"),
        ("[gas\n", "TOML"),
    ],
)
def test_a_wrong_gas_calibration_is_one_line_that_names_the_key(written, text, key):
    path = written(text, "gas.toml")
    with pytest.raises(ConfigError) as caught:
        load_gas_baseline(path)
    message = str(caught.value)
    assert key in message
    assert str(path) in message
    assert "\n" not in message


def test_a_missing_gas_calibration_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_gas_baseline(tmp_path / "gas.toml")


def test_a_number_that_is_none_is_no_threshold():
    with pytest.raises(ValidationError):
        Thresholds(alert=math.nan)


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1"])
def test_a_second_path_may_be_the_only_one(written, endpoint):
    url = "http://127.0.0.1:1/alarm"
    path = written(f'[uplink]\nendpoint = "{endpoint}"\nsecond_path_url = "{url}"\n')
    assert load_settings(path).uplink.second_path_url == url


def test_the_lepton_is_off_and_may_be_a_file_of_frames(written):
    assert not Settings().lepton.enabled
    path = written(
        "[thermal]\nenabled = false\n[lepton]\nenabled = true\n"
        'device = "/tmp/frames.y16"\ntelemetry = false\n'
    )
    lepton = load_settings(path).lepton
    assert (lepton.enabled, str(lepton.device), lepton.telemetry) == (
        True,
        "/tmp/frames.y16",  # noqa: S108 - a name, nothing is written there
        False,
    )


def test_two_thermal_arrays_are_refused_with_what_to_do(written, monkeypatch):
    path = written("[lepton]\nenabled = true\n")
    assert "one thermal array: for the Lepton set thermal.enabled = false" in refused(path)
    monkeypatch.setenv("FIREDETECT_THERMAL__ENABLED", "false")
    assert load_settings(path).lepton.enabled
    assert "lepton.emissivity: unknown key" in refused(written("[lepton]\nemissivity = 0.9\n"))
