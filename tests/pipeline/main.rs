//! The whole pipeline: requests through every tier, in one process and in several, with faults on their way.
//!
//! Each test ends with every message having exactly one outcome, and with ledgers that balance.

mod api;
mod article_http;
mod article_tcp;
mod article_zmq;
mod cli;
mod command_line;
mod curve;
mod dashboards;
mod experiments;
mod experiments_page;
mod experiments_running;
mod faults;
mod figures;
mod foreign_fields;
mod history;
mod http_habits;
mod leaving;
mod limits;
mod links;
mod load;
mod locked;
mod modes;
mod origin;
mod outages;
mod overload;
mod oversize;
mod permission;
mod pools;
mod processes;
mod reconnect;
mod shutdown;
mod strangers;
mod support;
mod tcp_bounds;
mod tokens;
mod web_bounds;
mod websocket;

/// The fields of the article's replies, in their order.
const ARTICLE_FIELDS: [&str; 9] = [
    "responderId",
    "requesterId",
    "respondedAt",
    "body",
    "responseType",
    "requestId",
    "messageId",
    "requestedAt",
    "filename",
];
