//! No setting without effect: each field of both descriptors has a check under its own name, which
//! runs servers and clients with different values of it and sees them differ.

mod certificates;
mod client;
mod fields;
mod server;
mod support;

/// The table of a descriptor: its fields, each with the check of the same name in some module.
/// `paused` checks run on a clock that stands still while anything is to be done, and jumps to the
/// next timer otherwise; `live` ones wait for sockets, which such a clock would run ahead of.
macro_rules! effects {
    ($descriptor:ty: $($clock:ident $module:ident { $($field:ident)* })*) => {
        $($(
            #[test]
            fn $field() {
                $crate::support::$clock($module::$field());
            }
        )*)*

        #[test]
        fn every_field_has_its_check() {
            let table = [$($(stringify!($field)),*),*];
            $crate::fields::compare(&table, $crate::fields::of::<$descriptor>());
        }
    };
}
pub(crate) use effects;
