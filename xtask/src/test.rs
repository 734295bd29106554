pub(crate) struct X;
