//! The one input type of the correlator.
