//! Writes the gRPC service. From a description in Rust, so that nobody needs `protoc`.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn main() {
    let service = Service::builder()
        .name("Bench")
        .package("bench")
        .method(method("add", "Add", "AddRequest", "AddReply").build())
        .method(method("echo", "Echo", "Payload", "Payload").build())
        .method(method("subscribe", "Subscribe", "Empty", "Payload").server_streaming().build())
        .method(method("publish", "Publish", "Count", "Empty").build())
        .build();
    Builder::new().compile(&[service]);
}

fn method(name: &str, route: &str, input: &str, output: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("crate::tonic::{input}"))
        .output_type(format!("crate::tonic::{output}"))
        .codec_path("tonic_prost::ProstCodec")
}
