//! Pure decoders of what is on the wire.
