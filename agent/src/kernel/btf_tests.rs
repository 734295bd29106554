//! Type information made by hand: a kernel, and a module on top of it.

use super::{Btf, Error, FieldError, MAGIC};

/// Writes BTF.
struct Writer {
    types: Vec<u32>,
    strings: Vec<u8>,
    /// Bytes of strings of the base.
    before: u32,
}

impl Writer {
    fn kernel() -> Self {
        Self { types: Vec::new(), strings: vec![0], before: 0 }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.before + self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    /// A type: kind, entries, size or type, then the words that follow.
    fn entry(&mut self, name: &str, kind: u32, entries: u32, size_or_type: u32, rest: &[u32]) {
        let name = self.string(name);
        self.types.extend([name, kind << 24 | entries, size_or_type]);
        self.types.extend(rest);
    }

    fn bytes(&self) -> Vec<u8> {
        let types = self.types.len() as u32 * 4;
        let mut bytes = Vec::from(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]);
        for value in [24, 0, types, types, self.strings.len() as u32] {
            bytes.extend(value.to_ne_bytes());
        }
        bytes.extend(self.types.iter().flat_map(|value| value.to_ne_bytes()));
        bytes.extend(&self.strings);
        bytes
    }
}

/// 1 int, 2 struct queue { int head; int qlen; }, 3 pointer to it, 4 an unnamed union of int and
/// struct queue, 5 struct outer { int first; union {…}; queue *next; }, 6 enum colour,
/// 7 prototype of four, 8 pointer to it, 9 typedef btf_trace_it.
fn kernel() -> Writer {
    let mut writer = Writer::kernel();
    writer.entry("int", 1, 0, 4, &[32]);
    let (head, qlen) = (writer.string("head"), writer.string("qlen"));
    writer.entry("queue", 4, 2, 8, &[head, 1, 0, qlen, 1, 32]);
    writer.entry("", 2, 0, 2, &[]);
    let (plain, queue) = (writer.string("plain"), writer.string("queue"));
    writer.entry("", 5, 2, 8, &[plain, 1, 0, queue, 2, 0]);
    let (first, next) = (writer.string("first"), writer.string("next"));
    writer.entry("outer", 4, 3, 24, &[first, 1, 0, 0, 4, 32, next, 3, 128]);
    let (red, green) = (writer.string("RED"), writer.string("GREEN"));
    writer.entry("colour", 6, 2, 4, &[red, 1, green, 5]);
    writer.entry("", 13, 4, 0, &[0, 1, 0, 1, 0, 1, 0, 1]);
    writer.entry("", 2, 0, 7, &[]);
    writer.entry("btf_trace_it", 8, 0, 8, &[]);
    writer
}

#[test]
fn finds_members_of_members_and_of_unnamed_unions() {
    let btf = Btf::parse(kernel().bytes(), None).unwrap();
    assert_eq!(btf.offset("outer", "first", 4), Ok(0));
    assert_eq!(btf.offset("outer", "plain", 4), Ok(4));
    assert_eq!(btf.offset("outer", "queue.qlen", 4), Ok(8));
    assert_eq!(btf.offset("outer", "next", 8), Ok(16));
    assert_eq!(btf.offset("outer", "", 0), Ok(24));
}

#[test]
fn says_what_is_missing() {
    let btf = Btf::parse(kernel().bytes(), None).unwrap();
    assert_eq!(btf.offset("other", "first", 4).unwrap_err().to_string(), "no struct other");
    assert_eq!(btf.offset("outer", "last", 4).unwrap_err().to_string(), "no outer.last");
    assert_eq!(btf.offset("outer", "first.x", 4).unwrap_err().to_string(), "no outer.first.x");
    let size = btf.offset("outer", "first", 8).unwrap_err();
    assert!(matches!(size, FieldError::Size { found: 32, expected: 64, .. }));
}

#[test]
fn a_module_goes_on_where_the_kernel_ends() {
    let kernel = kernel();
    let base = Btf::parse(kernel.bytes(), None).unwrap();
    let mut module = Writer { types: Vec::new(), strings: Vec::new(), before: kernel.strings.len() as u32 };
    let own = module.string("rq");
    // Type 10: struct unit { int first; struct queue rq; }, with a name and types of the kernel.
    let first = kernel.strings.windows(6).position(|six| six == b"first\0").unwrap() as u32;
    module.entry("unit", 4, 2, 12, &[first, 1, 0, own, 2, 32]);
    let btf = Btf::parse(module.bytes(), Some(&base)).unwrap();
    assert_eq!(btf.offset("unit", "rq.qlen", 4), Ok(8));
    assert_eq!(btf.offset("unit", "first", 4), Ok(0));
    assert_eq!(btf.offset("outer", "plain", 4), Ok(4), "structures of the kernel are known too");
    assert!(base.offset("unit", "first", 4).is_err());
}

#[test]
fn reads_enums_and_tracepoints() {
    let btf = Btf::parse(kernel().bytes(), None).unwrap();
    let colours: Vec<_> = btf.values("colour").into_iter().collect();
    assert_eq!(colours, [(1, "RED".to_owned()), (5, "GREEN".to_owned())]);
    assert!(btf.values("queue").is_empty());
    assert_eq!(btf.tracepoint_arguments("it"), Some(3));
    assert_eq!(btf.tracepoint_arguments("other"), None);
}

#[test]
fn damage_is_an_error_and_no_panic() {
    let whole = kernel().bytes();
    assert!(matches!(Btf::parse(Vec::new(), None), Err(Error::Malformed(_))));
    for length in 0..whole.len() {
        assert!(Btf::parse(whole[..length].to_vec(), None).is_err(), "cut to {length}");
    }
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            if let Ok(btf) = Btf::parse(damaged, None) {
                let _ = btf.offset("outer", "queue.qlen", 4);
                let _ = btf.values("colour");
                let _ = btf.tracepoint_arguments("it");
            }
        }
    }
}

/// The real thing, where there is one: skipped on kernels without BTF.
#[test]
fn reads_the_running_kernel() {
    let btf = match Btf::read(super::VMLINUX, None) {
        Ok(btf) => btf,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    assert_eq!(btf.offset("sk_buff", "dev", 8), Ok(16));
    assert!(btf.offset("net_device", "", 0).unwrap() > 1000);
    assert!(btf.offset("net", "ns.inum", 4).is_ok());
    assert!((2..=4).contains(&btf.tracepoint_arguments("kfree_skb").unwrap()));
}
