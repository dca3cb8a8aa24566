//! The narration limiter: what may be told, and when.
//!
//! In this order: the same dedupe key within the dedupe window is refused; a narration without priority also waits
//! for the global cooldown and for its category's; and no window tells more than its limit, priority or not.

use std::collections::{BTreeMap, VecDeque};

use crate::options::NarrationOptions;

/// What the limiter decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be told, and counts.
    Accepted,
    /// The same key was told within the dedupe window.
    Duplicate,
    /// Something else was told within the global cooldown.
    GlobalCooldown,
    /// The category was told within its cooldown.
    CategoryCooldown,
    /// The window's limit is reached.
    WindowFull,
}

/// The limiter and its state (`narration_state` of the predecessor).
#[derive(Debug, Clone, PartialEq)]
pub struct NarrationLimiter {
    options: NarrationOptions,
    last_global_tick: Option<u64>,
    last_category_tick: BTreeMap<String, u64>,
    recent_entries: BTreeMap<String, u64>,
    window_emissions: VecDeque<u64>,
}

impl NarrationLimiter {
    /// A limiter that has told nothing.
    pub fn new(options: NarrationOptions) -> Self {
        Self {
            options,
            last_global_tick: None,
            last_category_tick: BTreeMap::new(),
            recent_entries: BTreeMap::new(),
            window_emissions: VecDeque::new(),
        }
    }

    /// Forgets what lies behind the windows. Call once at the start of every tick, with rising ticks.
    pub fn begin_tick(&mut self, tick: u64) {
        let (dedupe, window) = (self.options.dedupe_window_ticks, self.options.global_window_ticks);
        self.recent_entries.retain(|_, told| told.saturating_add(dedupe) > tick);
        while self.window_emissions.front().is_some_and(|told| told.saturating_add(window) <= tick) {
            self.window_emissions.pop_front();
        }
    }

    /// Whether the window's limit is reached, so that nothing more can be told in this tick.
    pub fn is_full(&self) -> bool {
        self.window_emissions.len() >= self.options.global_window_limit
    }

    /// Decides about one narration at `tick`, the tick of the last [`begin_tick`](Self::begin_tick).
    pub fn offer(&mut self, tick: u64, category: &str, dedupe_key: &str, priority: bool) -> Verdict {
        if self.recent_entries.contains_key(dedupe_key) {
            return Verdict::Duplicate;
        }
        let within = |told: u64, cooldown: u64| told.saturating_add(cooldown) > tick;
        if !priority {
            let global = self.options.global_cooldown_ticks;
            if self.last_global_tick.is_some_and(|told| within(told, global)) {
                return Verdict::GlobalCooldown;
            }
            let own = self.options.category_cooldown_ticks.get(category).copied().unwrap_or(global);
            if self.last_category_tick.get(category).is_some_and(|told| within(*told, own)) {
                return Verdict::CategoryCooldown;
            }
        }
        if self.is_full() {
            return Verdict::WindowFull;
        }
        self.last_global_tick = Some(tick);
        self.last_category_tick.insert(category.to_owned(), tick);
        if self.options.dedupe_window_ticks > 0 {
            self.recent_entries.insert(dedupe_key.to_owned(), tick);
        }
        self.window_emissions.push_back(tick);
        Verdict::Accepted
    }

    /// When anything was told last.
    pub fn last_global_tick(&self) -> Option<u64> {
        self.last_global_tick
    }

    /// When each category was told last.
    pub fn last_category_tick(&self) -> &BTreeMap<String, u64> {
        &self.last_category_tick
    }

    /// The keys that are refused at present, and when they were told.
    pub fn recent_entries(&self) -> &BTreeMap<String, u64> {
        &self.recent_entries
    }

    /// The ticks of what the present window has told.
    pub fn window_emissions(&self) -> impl Iterator<Item = u64> {
        self.window_emissions.iter().copied()
    }

    /// The options that it works by.
    pub fn options(&self) -> &NarrationOptions {
        &self.options
    }
}
