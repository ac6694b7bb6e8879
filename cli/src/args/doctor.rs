use clap::Args;

use super::Target;

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  cndt doctor localhost:8080
  cndt doctor cndts://example.org:8443 --tls-ca ca.pem
  cndt doctor jsonrpc://localhost:9001
  cndt doctor localhost:8080 --json | jq -r '.advice[]'

Asks a short question of each protocol, then logs in. If nobody answers, it also tries a login of dialect
netconduit that holds no password: such servers show themselves by nothing but its refusal.
Exit status: 0 if all is well, 1 if something is wrong, 3 if it cannot connect or log in.";

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Prints a JSON object instead of a list
    #[arg(long)]
    pub(crate) json: bool,
}
