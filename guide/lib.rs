//! The guide, as documentation of modules: `cargo test -p cndt-guide --doc` compiles and runs every
//! block of it. To read it, build the book: `mdbook build guide`.
//!
//! A test sees to it that each chapter stands here: one that is missing would rot.
#![forbid(unsafe_code)]

macro_rules! chapters {
    ($($name:ident: $file:literal;)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("src/", $file, ".md"))]
            mod $name {}
        )*
    };
}

chapters! {
    index: "index";
    getting_started: "getting-started";
    handlers: "handlers";
    errors: "errors";
    hooks: "hooks";
    broadcast: "broadcast";
    reconnect: "reconnect";
    tls: "tls";
    webhooks: "webhooks";
    jsonrpc: "jsonrpc";
    resilience: "resilience";
    embedding: "embedding";
    testing: "testing";
    operating: "operating";
    from_netconduit: "from-netconduit";
    from_cthulu: "from-cthulu";
    examples: "examples";
}
