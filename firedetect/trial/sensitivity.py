"""Whether a change of settings can only make the detector more sensitive."""

from firedetect.contract.settings import Confirmation, DecisionSettings, HardLimits, Thresholds


def only_more_sensitive(candidate: DecisionSettings, present: DecisionSettings) -> bool:
    """Whether `candidate` never declares a level later, nor a lower one, than `present`.

    Field by field, and True only where it can be proved: with every threshold lower or equal and
    `k` of a window that is not shorter, whatever confirms a level under `present` confirms it.
    What is held or silenced must not end earlier, and no new way of silencing may open.
    """
    return (
        _lower_thresholds(candidate.thresholds, present.thresholds)
        and _confirms_sooner(candidate.confirm, present.confirm)
        and _confirms_sooner(candidate.confirm_emergency, present.confirm_emergency)
        and candidate.hold_s >= present.hold_s
        and candidate.hysteresis >= present.hysteresis
        and candidate.silence_max_s <= present.silence_max_s
        and _lower_limits(candidate.hard, present.hard)
        and candidate.remote_emergency_silence <= present.remote_emergency_silence
    )


def _lower_thresholds(candidate: Thresholds, present: Thresholds) -> bool:
    return all(
        getattr(candidate, name) <= getattr(present, name) for name in Thresholds.model_fields
    )


def _confirms_sooner(candidate: Confirmation, present: Confirmation) -> bool:
    return candidate.k <= present.k and candidate.n >= present.n


def _lower_limits(candidate: HardLimits, present: HardLimits) -> bool:
    # H3 asks how fast the area above `pixel_alert_c` grows. A lower limit sees a larger area, but
    # one that was there before may grow by less than what is new above the higher limit.
    return candidate.pixel_alert_c == present.pixel_alert_c and all(
        getattr(candidate, name) <= getattr(present, name) for name in HardLimits.model_fields
    )
