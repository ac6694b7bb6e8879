//! A game's heartbeat: players tell where they are, the server tells everyone where everyone is, twenty
//! times a second. The players are simulated, each with a connection of its own over real TCP.
//!
//! `cargo run --release -p cndt-tokio --example positions`, with `--players N` for another number than
//! 100. It runs until Ctrl-C, or for `--rounds N`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cndt_tokio::{
    Client, ClientDescriptor, ClientHandle, Data, Messages, Peer, Server, ServerDescriptor,
    ServerHandle, SlowClient, State, from_slice,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

type Failure = Box<dyn Error + Send + Sync>;

const PASSWORD: &str = "positions";
const ROUND: Duration = Duration::from_millis(50);

// --- The server ----------------------------------------------------------------------------------

/// What a player is called: a number is shorter than a connection's id, and goes out to everybody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Player(u32);

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Position {
    x: f32,
    y: f32,
}

/// Where everyone is. Lists, not maps with names: it is most of the traffic.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    round: u64,
    players: Vec<(u32, f32, f32)>,
}

#[derive(Clone, Default)]
struct World {
    players: Arc<Mutex<BTreeMap<Player, Position>>>,
    came: Arc<AtomicU32>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Player, Position>> {
        self.players.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self, round: u64) -> Snapshot {
        let players = self.lock().iter().map(|(player, at)| (player.0, at.x, at.y)).collect();
        Snapshot { round, players }
    }
}

async fn enter(world: World, peer: Peer) {
    let player = Player(world.came.fetch_add(1, Ordering::Relaxed));
    peer.attach(player);
    world.lock().insert(player, Position::default());
}

async fn leave(world: World, peer: Peer) {
    if let Some(player) = peer.attached() {
        world.lock().remove(&player);
    }
}

/// A message, not a call: nobody waits for an answer, and the next one follows soon.
async fn moved(State(world): State<World>, peer: Peer, Data(to): Data<Position>) {
    if let Some(player) = peer.attached() {
        world.lock().insert(player, to);
    }
}

async fn serve(world: World, players: usize) -> Result<ServerHandle, Failure> {
    let descriptor = ServerDescriptor::new(PASSWORD)
        .host("127.0.0.1")
        .port(0)
        .max_connections(players)
        // A hundred logins on one machine; elsewhere each player has one of their own.
        .half_open_max(players.max(128))
        .password_iterations(100_000)
        // Only the newest positions count: who reads slowly skips some.
        .slow_client(SlowClient::DropOldest)
        // Four rounds' worth: with more, a player who lags would see an older past.
        .send_queue_size(4);
    let (entering, leaving) = (world.clone(), world.clone());
    let server = Server::new(descriptor)
        .state(world)
        .on("move", moved)
        .on_client_connect(move |peer: Peer| enter(entering.clone(), peer))
        .on_client_disconnect(move |peer: Peer| leave(leaving.clone(), peer));
    Ok(server.start().await?)
}

/// Tells everyone, round after round.
async fn tick(server: &ServerHandle, world: &World, rounds: u64) -> Result<(), Failure> {
    let mut ticks = interval(ROUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 1..=rounds {
        ticks.tick().await;
        let snapshot = world.snapshot(round);
        let delivered = server.broadcast("world", &snapshot).send()?;
        if round % 20 == 0 {
            let (players, queued) = (snapshot.players.len(), delivered.queued);
            let sent = server.stats().traffic.bytes_sent / 1024;
            println!("round {round}: {players} players, told {queued}, {sent} KiB sent so far");
        }
    }
    Ok(())
}

// --- The players ---------------------------------------------------------------------------------

async fn join(port: u16) -> Result<(ClientHandle, Messages), Failure> {
    let descriptor = ClientDescriptor::new("127.0.0.1", port, PASSWORD);
    let (client, messages) = Client::new(descriptor).with_messages();
    Ok((client.connect().await?, messages))
}

/// Walks in a circle of its own until the last round. Gives the most players that it saw at once.
async fn play(number: u32, client: ClientHandle, mut messages: Messages, rounds: u64) -> usize {
    let mut ticks = interval(ROUND);
    let (mut angle, mut most) = (number as f32, 0);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                angle += 0.1;
                let (y, x) = angle.sin_cos();
                // Refused while there is no room: the next step says more than this one.
                let _ = client.try_send("move", &Position { x: x * 10.0, y: y * 10.0 });
            }
            message = messages.next() => {
                let Some(message) = message else { return most };
                let Ok(snapshot) = from_slice::<Snapshot>(&message.data) else { return most };
                let has_moved = snapshot.players.iter().filter(|(_, x, y)| x.hypot(*y) > 1.0);
                most = most.max(has_moved.count());
                if snapshot.round >= rounds {
                    client.disconnect().await;
                    return most;
                }
            }
        }
    }
}

// --- Main ----------------------------------------------------------------------------------------

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (players, rounds) = arguments()?;
    let world = World::default();
    let server = serve(world.clone(), players).await?;
    let port = server.address().port();

    let mut joining = JoinSet::new();
    (0..players).for_each(|_| drop(joining.spawn(join(port))));
    let mut playing = JoinSet::new();
    while let Some(joined) = joining.join_next().await {
        let (client, messages) = joined??;
        playing.spawn(play(playing.len() as u32, client, messages, rounds));
    }
    println!("{} players are in", server.connection_count());

    tokio::select! {
        ticked = tick(&server, &world, rounds) => ticked?,
        _ = tokio::signal::ctrl_c() => playing.abort_all(),
    }
    let seen: Vec<usize> = playing.join_all().await;
    let least = seen.iter().min().copied().unwrap_or_default();
    let dropped = server.stats().traffic.messages_dropped;
    println!("each of {} saw at least {least} move; {dropped} snapshots were skipped", seen.len());
    server.stop().await;
    Ok(())
}

fn arguments() -> Result<(usize, u64), Failure> {
    let (mut players, mut rounds) = (100, u64::MAX);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or("usage: positions [--players N] [--rounds N]")?;
        match name.as_str() {
            "--players" => players = value.parse()?,
            "--rounds" => rounds = value.parse()?,
            _ => return Err("usage: positions [--players N] [--rounds N]".into()),
        }
    }
    Ok((players, rounds))
}
