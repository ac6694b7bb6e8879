//! Looks for time that a comparison of secrets gives away: Welch's t-test between inputs that are wrong
//! at once and inputs that are wrong at the end, in an order drawn at random (the method of "dudect").
//!
//! ```sh
//! cargo run --release -p cndt-benches --bin constant-time
//! ```
//!
//! Below 4.5 nothing shows. The control compares byte by byte and stops at the first difference: it
//! must show, or the measurement proves nothing.
#![forbid(unsafe_code)]

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use cndt_core::auth::scram::Derivation;
use cndt_core::webhook::{Keys, MessageId, Scheme, Tolerance};

const SAMPLES: usize = 1_000_000;
const ROUNDS: usize = 3;
/// Slower ones are the machine's doing: an interrupt, another process.
const KEEP_PERCENT: usize = 90;
const LIMIT: f64 = 4.5;
const SIGNED: &[u8] = b"n=default,r=x,r=xy,s=c2FsdA==,i=4096,c=biws,r=xy,t=AA==";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let keys = Derivation::new("secret", &[7; 16], 4096)?.run();
    let verifier = keys.verifier();
    let proof = keys.client_proof(SIGNED);
    let signature = verifier.server_signature(SIGNED);
    let flip = |mut bytes: [u8; 32], at: usize| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        bytes
    };
    let proofs = [flip(proof, 0), flip(proof, 31)];
    let signatures = [flip(signature, 0), flip(signature, 31)];
    let webhooks = Keys::parse(Scheme::Hex, "secret")?;
    let hexes = wrong_signatures(&webhooks);
    let long = [7_u8; 256];
    let mut early = long;
    let mut late = long;
    early[0] ^= 1;
    late[255] ^= 1;
    let controls = [early, late];

    let mut good = true;
    for round in 1..=ROUNDS {
        let t = measure(|class| verifier.accepts(black_box(SIGNED), black_box(&proofs[class])));
        good &= report(round, "proof of a client", t, t.abs() < LIMIT);
        let t =
            measure(|class| keys.accepts_server(black_box(SIGNED), black_box(&signatures[class])));
        good &= report(round, "signature of a server", t, t.abs() < LIMIT);
        let t = measure(|class| {
            let lookup = |name: &str| name.ends_with("signature").then_some(&hexes[class][..]);
            webhooks.verify(0, Tolerance::Off, lookup, black_box(SIGNED)).is_ok()
        });
        good &= report(round, "signature of a webhook", t, t.abs() < LIMIT);
        let t =
            measure(|class| same_until_it_differs(black_box(&long), black_box(&controls[class])));
        good &= report(round, "control, must show", t, t.abs() >= LIMIT);
    }
    Ok(good)
}

/// Wrong in the first digit, and in the last.
fn wrong_signatures(keys: &Keys) -> [Vec<u8>; 2] {
    let id = MessageId::new([7; 16]);
    let right = keys.sign(&id, 0, SIGNED).signature().as_bytes().to_vec();
    let wrong = |at: usize| {
        let mut digits = right.clone();
        if let Some(digit) = digits.get_mut(at) {
            *digit ^= 1;
        }
        digits
    };
    [wrong(0), wrong(63)]
}

/// What nobody should do with secrets.
fn same_until_it_differs(left: &[u8], right: &[u8]) -> bool {
    for (left, right) in left.iter().zip(right) {
        if black_box(left) != black_box(right) {
            return false;
        }
    }
    true
}

fn report(round: usize, what: &str, t: f64, is_good: bool) -> bool {
    let verdict = if is_good { "as it should be" } else { "NOT as it should be" };
    let _ = writeln!(std::io::stdout(), "round {round}: {what:24} t = {t:9.2}  {verdict}");
    is_good
}

/// The statistic over both classes.
#[allow(clippy::disallowed_methods, reason = "time is what is measured")]
fn measure(act: impl Fn(usize) -> bool) -> f64 {
    let mut samples = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..2 * SAMPLES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let class = (state >> 40) as usize & 1;
        let before = Instant::now();
        black_box(act(class));
        let nanos = before.elapsed().as_nanos() as f64;
        samples[class].push(nanos);
    }
    let bound = threshold(&samples);
    let [a, b] = samples.map(|all| moments(all.into_iter().filter(|nanos| *nanos <= bound)));
    (a.mean - b.mean) / (a.variance / a.count + b.variance / b.count).sqrt()
}

/// One bound for both classes, or cutting off would favour one.
fn threshold(samples: &[Vec<f64>; 2]) -> f64 {
    let mut all: Vec<f64> = samples.iter().flatten().copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() * KEEP_PERCENT / 100).copied().unwrap_or(f64::MAX)
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

fn moments(values: impl Iterator<Item = f64>) -> Moments {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    Moments { count, mean, variance: squares / (count - 1.0_f64).max(1.0) }
}
