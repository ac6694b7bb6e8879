//! Handlers of webhooks, by path.

use std::sync::Arc;

use cndt_core::webhook::{Found, PathError, Routes};

use super::handler::{Delivering, ErasedWebhook};
use super::{CallContext, States};
use crate::error::RouterError;

/// Handlers by path.
#[derive(Clone, Default)]
pub(super) struct Webhooks {
    routes: Routes<WebhookHandler>,
    /// All of them, for whoever asks what they need.
    all: Vec<WebhookHandler>,
}

/// Whoever handles the webhooks of a path.
#[derive(Clone)]
pub(crate) struct WebhookHandler {
    /// As it was registered: few values, whatever paths are asked for.
    pub(crate) route: Arc<str>,
    handler: Arc<dyn ErasedWebhook>,
}

impl WebhookHandler {
    pub(crate) fn run(&self, context: CallContext) -> Delivering {
        self.handler.run(context)
    }
}

impl Webhooks {
    pub(super) fn add(
        &mut self,
        path: &str,
        handler: Arc<dyn ErasedWebhook>,
    ) -> Result<(), RouterError> {
        let handler = WebhookHandler { route: path.into(), handler };
        let added = self.routes.insert(path, handler.clone());
        added.map_err(|error| RouterError::WebhookRoute { path: path.to_owned(), error })?;
        self.all.push(handler);
        Ok(())
    }

    pub(super) fn find<'a>(
        &'a self,
        path: &'a str,
    ) -> Result<Option<Found<'a, WebhookHandler>>, PathError> {
        self.routes.find(path)
    }

    pub(super) fn missing_state(&self, states: &States) -> Option<(String, &'static str)> {
        self.all.iter().find_map(|found| {
            let missing = found.handler.missing_state(states)?;
            Some((found.route.to_string(), missing))
        })
    }
}
