//! Scenarios of the lab and the judgement of their runs.
