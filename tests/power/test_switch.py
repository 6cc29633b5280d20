"""The order of steps on one BMC, how long it is waited for, and what is said when it stops half-way. No network."""

import pytest
from attrs import define, field

from imaged.model.errors import Denied, ImagedError, Unreachable
from imaged.model.power import PowerAction, PowerState
from imaged.planning.power import PowerStep
from imaged.power.bmc import Deadline, switch

ON, OFF = PowerState.ON, PowerState.OFF


@define
class Machine:
    """Goes off ``slow`` questions after it was told to; ``broken`` is a step that its BMC refuses."""

    on: bool = True
    slow: int = 0
    broken: PowerStep | None = None
    done: list[PowerStep] = field(factory=list)
    now: float = 0.0
    _ends: int | None = None

    def state(self) -> PowerState:
        if self._ends is not None:
            self._ends -= 1
            if self._ends < 0:
                self.on, self._ends = False, None
        return ON if self.on else OFF

    def do(self, step: PowerStep) -> None:
        if step is self.broken:
            raise Denied("no", where="bmc")
        self.done.append(step)
        if step is PowerStep.ON:
            self.on = True
        if step is PowerStep.OFF:
            self._ends = self.slow

    def close(self) -> None:
        pass

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def within(self, seconds: float) -> Deadline:
        return Deadline(self.now + seconds, lambda: self.now, self.pause)


def test_a_cycle_waits_until_it_is_off() -> None:
    machine = Machine(slow=7)
    outcome = switch(machine, PowerAction.CYCLE, machine.within(10.0), network=True)
    assert (outcome.text, outcome.before) == ("off and on, boots from the network", ON)
    assert machine.done == [PowerStep.NETWORK, PowerStep.OFF, PowerStep.ON]
    assert machine.now == 7.0


def test_what_does_not_go_off_in_time_is_told_and_not_switched_on() -> None:
    machine = Machine(slow=100)
    with pytest.raises(Unreachable, match="does not switch off in time") as refused:
        switch(machine, PowerAction.CYCLE, machine.within(10.0), network=False)
    assert "not to switch on again" in refused.value.hint
    assert machine.done == [PowerStep.OFF]


@pytest.mark.parametrize(
    ("broken", "done", "hint"),
    [
        (PowerStep.NETWORK, [], ""),
        (PowerStep.OFF, [PowerStep.NETWORK], ""),
        (PowerStep.ON, [PowerStep.NETWORK, PowerStep.OFF], "not to switch on again"),
    ],
)
def test_a_refusal_ends_it_and_says_what_that_leaves(broken: PowerStep, done: list[PowerStep], hint: str) -> None:
    machine = Machine(broken=broken)
    with pytest.raises(ImagedError, match="no") as refused:
        switch(machine, PowerAction.CYCLE, machine.within(10.0), network=True)
    assert machine.done == done
    assert (hint in refused.value.hint) is True
    assert bool(refused.value.hint) is bool(hint)
