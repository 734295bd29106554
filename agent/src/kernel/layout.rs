//! Where the fields of the running kernel are: from its type information, and where a module has
//! none, from what Linux 5.10 is known to have.

use std::collections::BTreeMap;

use pptpscope_common::layout::{ABSENT, Field, Layout};

use super::btf::{self, Btf, VMLINUX};

/// Size of struct ppp_channel, which stands between struct sock and the options of a PPTP socket,
/// with the pointer to the next socket (include/linux/if_pppox.h, struct pppox_sock).
const PPP_CHANNEL: u32 = 40;
const NEXT: u32 = 8;

/// What is known of the kernel before a program is loaded.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// Arguments of the tracepoint `skb:kfree_skb`.
    pub(super) kfree_skb_arguments: Option<u32>,
    /// Names of `enum skb_drop_reason`; empty before 5.17.
    pub(super) drop_reasons: BTreeMap<u32, String>,
}

impl Kernel {
    /// Number of a reason by its whole name.
    pub(super) fn drop_reason_number(&self, name: &str) -> Option<u32> {
        self.drop_reasons.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
    }
}

/// Offsets, and why some of them are not known.
#[derive(Debug)]
pub(super) struct Offsets {
    pub(super) layout: Layout,
    missing: BTreeMap<Field, String>,
}

impl Offsets {
    /// Nothing is known yet.
    pub(super) const fn unknown() -> Self {
        Self { layout: Layout::UNKNOWN, missing: BTreeMap::new() }
    }

    /// Why a program that needs these fields cannot run; None when it can.
    pub(super) fn lacking(&self, fields: &[Field]) -> Option<String> {
        let field = fields.iter().find(|field| self.layout.offset(**field).is_none())?;
        let why = self.missing.get(field).cloned();
        Some(why.unwrap_or_else(|| format!("{} is not known", name(*field))))
    }

    /// Resolves the fields that the kernel itself has.
    pub(super) fn resolve_kernel(&mut self) -> Result<Kernel, btf::Error> {
        let vmlinux = Btf::read(VMLINUX, None)?;
        self.resolve(VMLINUX, |field| of_btf(&vmlinux, field));
        Ok(Kernel {
            kfree_skb_arguments: vmlinux.tracepoint_arguments("kfree_skb"),
            drop_reasons: vmlinux.values("skb_drop_reason"),
        })
    }

    /// Resolves the fields of modules that are there now; `built_in` says that a module is part of
    /// the kernel.
    pub(super) fn resolve_modules(&mut self, modules: &[(&str, bool)]) {
        let vmlinux = Btf::read(VMLINUX, None);
        for (module, built_in) in modules {
            let Ok(vmlinux) = &vmlinux else { return };
            if *built_in {
                self.resolve(module, |field| of_btf(vmlinux, field));
                continue;
            }
            // Whatever is wrong with a module's type information, it may as well not be there.
            match Btf::read(module, Some(vmlinux)) {
                Ok(btf) => self.resolve(module, |field| of_btf(&btf, field)),
                Err(error) => {
                    let sock = vmlinux.offset("sock", "", 0).ok();
                    self.resolve(module, |field| {
                        assumed(field, sock).ok_or_else(|| format!("{}: {error}", name(field)))
                    });
                }
            }
        }
    }

    /// Forgets the fields of a module that is gone: the next one may be another build.
    pub(super) fn forget(&mut self, module: &str) {
        for field in Field::ALL.iter().filter(|field| field.module() == module) {
            self.layout.offsets[field.index()] = ABSENT;
            self.missing.remove(field);
        }
    }

    fn resolve(&mut self, module: &str, offset: impl Fn(Field) -> Result<u32, String>) {
        for field in Field::ALL.iter().filter(|field| field.module() == module) {
            self.layout.offsets[field.index()] = match offset(*field) {
                Ok(offset) => offset,
                Err(why) => {
                    self.missing.insert(*field, why);
                    ABSENT
                }
            };
        }
    }
}

fn name(field: Field) -> String {
    format!("{}.{}", field.structure(), field.member())
}

fn of_btf(btf: &Btf<'_>, field: Field) -> Result<u32, String> {
    btf.offset(field.structure(), field.member(), field.bytes()).map_err(|error| error.to_string())
}

/// The offset on Linux 5.10. The programs check what they read by it: the kind of a unit or channel,
/// the type of its device, the call id of a socket, the range of a count.
fn assumed(field: Field, sock_bytes: Option<u32>) -> Option<u32> {
    match field {
        Field::PppoxSockChannel => Some(sock_bytes?.next_multiple_of(8)),
        Field::PppoxSockProto => Some(sock_bytes?.next_multiple_of(8) + PPP_CHANNEL + NEXT),
        _ => field.built_in(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_field_turns_off_what_needs_it_and_says_why() {
        let mut offsets = Offsets::unknown();
        offsets.resolve("ppp_mppe", |field| match field {
            Field::MppeCcount => Ok(1088),
            other => Err(format!("no {}", name(other))),
        });
        assert_eq!(offsets.lacking(&[Field::MppeCcount]), None);
        let why = offsets.lacking(&[Field::MppeCcount, Field::MppeStateful]);
        assert_eq!(why.as_deref(), Some("no ppp_mppe_state.stateful"));
        assert_eq!(offsets.lacking(&[Field::PppFlags]).as_deref(), Some("ppp.flags is not known"));
        offsets.forget("ppp_mppe");
        assert!(offsets.lacking(&[Field::MppeCcount]).is_some());
    }

    #[test]
    fn the_built_in_table_is_that_of_5_10() {
        assert_eq!(assumed(Field::PppoxSockProto, Some(760)), Some(808));
        assert_eq!(assumed(Field::PppoxSockProto, None), None);
        assert_eq!(assumed(Field::PppoxSockChannel, Some(760)), Some(760));
        assert_eq!(assumed(Field::PppRstate, None), Some(156));
        let modules = Field::ALL.iter().filter(|field| field.module() != VMLINUX);
        for field in modules {
            assert!(assumed(*field, Some(760)).is_some(), "{} has no value for 5.10", name(*field));
        }
        assert_eq!(assumed(Field::SkBuffDev, Some(760)), None, "the kernel itself is never assumed");
    }
}
