"""Every way to answer that the server of known truth has, by name."""

import broken_connections
import odd_streams
import slow_and_lying
from fault_table import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "broken_connections", "odd_streams", "slow_and_lying"]
