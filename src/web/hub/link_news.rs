//! Changes of this instance's links since the hub last compared them.

use std::collections::BTreeMap;

use crate::web::links::LINK_ENDED;
use crate::wire::{LinkState, LinkView};

/// The links whose state differs from the `known` one. A removed link is returned once, as disconnected, and then forgotten.
pub fn link_news(known: &mut BTreeMap<String, LinkView>, now: BTreeMap<String, LinkView>) -> Vec<(String, LinkView)> {
    known.retain(|address, view| now.contains_key(address) || view.state != LinkState::Disconnected);
    let gone = known.keys().filter(|address| !now.contains_key(*address)).map(|address| {
        let reason = LINK_ENDED.to_owned();
        (address.clone(), LinkView { state: LinkState::Disconnected, reason: Some(reason) })
    });
    let gone: Vec<_> = gone.collect();
    now.into_iter().filter(|(address, view)| known.get(address) != Some(view)).chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_returned_when_it_changes_and_once_when_it_is_removed() {
        let view = |state| LinkView { state, reason: None };
        let (up, down) = (view(LinkState::Connected), LinkState::Disconnected);
        let links =
            |names: &[&str]| -> BTreeMap<_, _> { names.iter().map(|name| ((*name).to_owned(), up.clone())).collect() };
        let mut known = BTreeMap::new();
        let mut look = |now| {
            let news = link_news(&mut known, now);
            known.extend(news.clone());
            news.into_iter().map(|(address, view)| (address, view.state)).collect::<Vec<_>>()
        };
        let told = |name: &str, state| (name.to_owned(), state);
        assert_eq!(look(links(&["a", "b"])), [told("a", up.state), told("b", up.state)]);
        assert_eq!(look(links(&["a", "b"])), []);
        assert_eq!(look(links(&["b"])), [told("a", down)]);
        assert_eq!(look(links(&["b"])), []);
        assert_eq!(look(links(&["a", "b"])), [told("a", up.state)]);
    }
}
