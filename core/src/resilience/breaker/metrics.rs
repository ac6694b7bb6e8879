/// What a breaker has seen since it was made. A reset does not touch it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct BreakerMetrics {
    /// Calls that were reported as successes, late ones included.
    pub success_count: u64,
    /// Calls that were reported as failures, late ones included.
    pub failure_count: u64,
    /// Calls that were reported as telling nothing, or abandoned.
    pub ignored_count: u64,
    /// Successes and failures that took as long as `slow_call_duration`, or longer.
    pub slow_count: u64,
    /// Successes and failures that changed nothing, because the state had changed since they began.
    pub late_count: u64,
    /// Calls that were not allowed.
    pub rejected: u64,
    /// Calls that were allowed and have not been reported or released.
    pub under_way: u64,
    /// Changes of the state.
    pub state_transitions: u64,
    /// Changes that nobody polled before 16 newer ones.
    pub transitions_dropped: u64,
}
