//! What a transform sees: one record, before it becomes a line.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use townlet_schema::{ENVELOPE_KEYS, Json, Kind, Object, Payload, SchemaVersion, encode_into, read_head};

use crate::dropped::Dropped;
use crate::limits::{MAX_BODY_BYTES, MAX_DEPTH};
use crate::redact::strip_envelope;
use crate::text::{Doc, Index, scan};

/// The part of the envelope that is known before the chain runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The payload type.
    pub kind: Kind,
    /// The stream's name, such as `town.events`.
    pub stream: Arc<str>,
    /// The event's name; none for kinds that have none.
    pub event: Option<Cow<'static, str>>,
    /// The host's tick.
    pub tick: u64,
    /// The version whose rules the body follows.
    pub schema_version: SchemaVersion,
}

impl Head {
    /// A head in the current schema version, without an event name.
    pub fn new(kind: Kind, stream: impl Into<Arc<str>>, tick: u64) -> Self {
        Self { kind, stream: stream.into(), event: None, tick, schema_version: SchemaVersion::CURRENT }
    }

    /// The same for the event `name`.
    pub fn event(name: impl Into<Cow<'static, str>>, stream: impl Into<Arc<str>>, tick: u64) -> Self {
        Self { event: Some(name.into()), ..Self::new(Kind::Event, stream, tick) }
    }
}

/// One record: its head, and its body as text, as a tree, or as both.
///
/// The body is one JSON object without envelope fields. A chain in which no transform asks for the tree never
/// builds one.
#[derive(Clone)]
pub struct Record {
    head: Head,
    /// At least one of `text` and `tree` is there; where both are, they say the same.
    text: Option<Vec<u8>>,
    tree: Option<Object>,
    /// Of `text`.
    index: Option<Index>,
    /// The tree's depth is known to be at most [`MAX_DEPTH`].
    depth_checked: bool,
    proven: bool,
}

impl Record {
    /// A record of a typed payload. It is proven where the type says so.
    ///
    /// # Errors
    /// NaN or infinity, a map that names a key twice, nesting that is too deep, a body that is too large.
    pub fn typed<P: Payload>(head: Head, payload: &P) -> Result<Self, Dropped> {
        let mut text = Vec::new();
        encode_into(payload, &mut text)?;
        let mut record = Self::encoded(head, text)?;
        record.proven = P::PROVES_SCHEMA && P::KIND == record.head.kind && is_current(record.head.schema_version);
        Ok(record)
    }

    /// A record whose body [`encode_into`] has written. It is not checked again, so text from anywhere else belongs
    /// into [`Self::checked`].
    ///
    /// # Errors
    /// Text that is not an object, or too large.
    pub fn encoded(head: Head, text: Vec<u8>) -> Result<Self, Dropped> {
        if text.len() > MAX_BODY_BYTES {
            return Err(Dropped::oversize(text.len()));
        }
        if !(text.starts_with(b"{") && text.ends_with(b"}")) {
            return Err(Dropped::invalid("a body must be one JSON object"));
        }
        Ok(Self { head, text: Some(text), tree: None, index: None, depth_checked: true, proven: false })
    }

    /// A record whose body comes from anywhere: a file, a peer, a host that makes its own JSON.
    ///
    /// # Errors
    /// Everything that keeps it from being one well-formed object, see
    /// [`DropReason::InvalidPayload`](crate::DropReason::InvalidPayload).
    pub fn checked(head: Head, mut text: Vec<u8>) -> Result<Self, Dropped> {
        let index = scan(&text)?;
        // Between tokens they are space, within strings the scan lets none pass; a line has but one, its last.
        for byte in text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
        // The scan has found it to be UTF-8.
        let doc = Doc::new(std::str::from_utf8(&text).unwrap_or_default(), &index);
        if let Some(field) = ENVELOPE_KEYS.iter().find(|field| doc.member(0, field).is_some()) {
            return Err(envelope_field(field));
        }
        Ok(Self { head, text: Some(text), tree: None, index: Some(index), depth_checked: true, proven: false })
    }

    /// A record from a tree.
    ///
    /// # Errors
    /// An envelope field in the body. Depth is checked when the tree is first used.
    pub fn from_tree(head: Head, tree: Object) -> Result<Self, Dropped> {
        if let Some(field) = ENVELOPE_KEYS.iter().find(|field| tree.contains_key(field)) {
            return Err(envelope_field(field));
        }
        Ok(Self { head, text: None, tree: Some(tree), index: None, depth_checked: false, proven: false })
    }

    /// A record from a captured line of any version: the envelope's fields become the head, the rest the body. A
    /// line without `payload_type` is a snapshot; one without `stream`, as the predecessor wrote them, gets `stream`.
    ///
    /// # Errors
    /// As [`Self::checked`]; also a line that has neither `payload_type` nor both `schema_version` and `tick`.
    pub fn from_line(line: &[u8], stream: &str) -> Result<Self, Dropped> {
        let head = read_head(line)?;
        let kind = match (head.payload_type, head.schema_version, head.tick) {
            (Some(kind), ..) => kind,
            (None, Some(_), Some(_)) => Kind::Snapshot,
            _ => return Err(Dropped::invalid("neither `payload_type` nor both `schema_version` and `tick`")),
        };
        let own = Head {
            kind,
            stream: head.stream.as_deref().unwrap_or(stream).into(),
            event: head.event.map(|name| Cow::Owned(name.into_owned())),
            tick: head.tick.unwrap_or_default(),
            schema_version: head.schema_version.unwrap_or(SchemaVersion::LEGACY),
        };
        let body = strip_envelope(line).ok_or_else(|| Dropped::invalid("a line must be one JSON object"))?;
        Self::checked(own, body)
    }

    /// Vouches that the body was written from a value whose type proves the bundled schema of its kind: for hosts
    /// that encode in one place ([`Payload::PROVES_SCHEMA`] at hand) and make the record in another.
    #[must_use]
    pub fn proven_by_type(mut self) -> Self {
        self.proven = is_current(self.head.schema_version);
        self
    }

    /// The part of the envelope that is known.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The payload type.
    pub fn kind(&self) -> Kind {
        self.head.kind
    }

    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.head.stream
    }

    /// The event's name, for kinds that have one.
    pub fn event(&self) -> Option<&str> {
        self.head.event.as_deref()
    }

    /// The host's tick.
    pub fn tick(&self) -> u64 {
        self.head.tick
    }

    /// The version whose rules the body follows.
    pub fn schema_version(&self) -> SchemaVersion {
        self.head.schema_version
    }

    /// True where the body still satisfies the bundled schema because of the type that it was written from. A change
    /// ends it, unless the change is known to keep it.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// The body as text; encodes it where only the tree is there.
    ///
    /// # Errors
    /// A tree that is too deep or too large.
    pub fn body_bytes(&mut self) -> Result<&[u8], Dropped> {
        if self.text.is_none() {
            let mut text = Vec::new();
            if let Some(tree) = &self.tree {
                encode_into(tree, &mut text)?;
                self.depth_checked = true;
            }
            self.text = Some(text);
        }
        let text = self.text.as_deref().unwrap_or_default();
        if text.len() > MAX_BODY_BYTES { Err(Dropped::oversize(text.len())) } else { Ok(text) }
    }

    /// The body as a tree, to change; parses it where only the text is there. Ends the proof.
    ///
    /// What is put in is checked when the body is next encoded: depth, size; that no envelope field is among its
    /// members is the transform's duty, and such a record is dropped at the end of the chain.
    ///
    /// # Errors
    /// Text that is not an object after all.
    pub fn tree_mut(&mut self) -> Result<&mut Object, Dropped> {
        self.build_tree()?;
        (self.text, self.index) = (None, None);
        (self.depth_checked, self.proven) = (false, false);
        Ok(self.tree.get_or_insert_default())
    }

    /// The body as a tree, to look at.
    ///
    /// # Errors
    /// As [`Self::tree_mut`].
    pub fn tree(&mut self) -> Result<&Object, Dropped> {
        self.build_tree()?;
        Ok(self.tree.get_or_insert_default())
    }

    fn build_tree(&mut self) -> Result<(), Dropped> {
        if self.tree.is_none() {
            match Json::parse(self.text.as_deref().unwrap_or_default())? {
                Json::Object(tree) => self.tree = Some(tree),
                _ => return Err(Dropped::invalid("a body must be one JSON object")),
            }
        }
        Ok(())
    }

    /// True where the text shows at its beginning all that the bundled schema asks of an event: a name that is a
    /// string. The rest of the body may be anything, and is well-formed because of who made the record.
    pub(crate) fn opens_as_event(&self) -> bool {
        self.head.kind == Kind::Event
            && is_current(self.head.schema_version)
            && self.tree.is_none()
            && self.text.as_ref().is_some_and(|text| text.starts_with(br#"{"event":""#))
    }

    pub(crate) fn has_tree(&self) -> bool {
        self.tree.is_some()
    }

    /// Lets `edit` work on the tree; its answer says whether something changed. Leaves the proof to the caller.
    pub(crate) fn edit_tree(
        &mut self,
        edit: impl FnOnce(&mut Object) -> Result<bool, Dropped>,
    ) -> Result<bool, Dropped> {
        self.build_tree()?;
        self.check_depth()?;
        let tree = self.tree.get_or_insert_default();
        let changed = edit(tree)?;
        if changed {
            (self.text, self.index) = (None, None);
        }
        Ok(changed)
    }

    fn check_depth(&mut self) -> Result<(), Dropped> {
        let Some(tree) = self.tree.as_ref().filter(|_| !self.depth_checked) else { return Ok(()) };
        if !tree.values().all(|value| is_shallow(value, MAX_DEPTH - 1)) {
            return Err(Dropped::invalid(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth_checked = true;
        Ok(())
    }

    /// Replaces the text, which must have become another well-formed object. Leaves the proof to the caller.
    pub(crate) fn replace_text(&mut self, text: Vec<u8>) {
        (self.text, self.tree, self.index) = (Some(text), None, None);
    }

    pub(crate) fn forget_proof(&mut self) {
        self.proven = false;
    }

    /// The head, and the text with its index.
    pub(crate) fn indexed(&mut self) -> Result<(&Head, Doc<'_>), Dropped> {
        self.body_bytes()?;
        let text = self.text.as_deref().unwrap_or_default();
        if self.index.is_none() {
            self.index = Some(scan(text)?);
        }
        // The scan has found it to be UTF-8.
        let text = std::str::from_utf8(text).unwrap_or_default();
        Ok((&self.head, Doc::new(text, self.index.get_or_insert_default())))
    }

    /// A tree that a transform has had in its hands is looked through once more for envelope fields.
    fn check_tree(&self) -> Result<(), Dropped> {
        if let Some(tree) = &self.tree
            && let Some(field) = ENVELOPE_KEYS.iter().find(|field| tree.contains_key(field))
        {
            return Err(envelope_field(field));
        }
        Ok(())
    }

    /// The tree, for the end of the chain.
    pub(crate) fn finish_tree(mut self) -> Result<Object, Dropped> {
        self.build_tree()?;
        self.check_tree()?;
        self.check_depth()?;
        Ok(self.tree.unwrap_or_default())
    }

    /// Head and text, for the end of the chain.
    pub(crate) fn finish(mut self) -> Result<(Head, Vec<u8>, Option<Object>), Dropped> {
        self.check_tree()?;
        self.body_bytes()?;
        Ok((self.head, self.text.unwrap_or_default(), self.tree))
    }
}

fn is_current(version: SchemaVersion) -> bool {
    version == SchemaVersion::CURRENT
}

fn envelope_field(field: &str) -> Dropped {
    Dropped::invalid(format!("the body has a field `{field}`, which belongs to the envelope"))
}

/// True where `value` nests at most `levels` deep.
fn is_shallow(value: &Json, levels: usize) -> bool {
    match value {
        Json::Array(elements) => levels > 0 && elements.iter().all(|element| is_shallow(element, levels - 1)),
        Json::Object(members) => levels > 0 && members.values().all(|member| is_shallow(member, levels - 1)),
        _ => true,
    }
}

impl fmt::Debug for Record {
    /// Prints the head and sizes, never the content: it may not be redacted yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.as_ref().map(Vec::len);
        f.debug_struct("Record")
            .field("head", &self.head)
            .field("bytes", &text)
            .field("tree", &self.tree.is_some())
            .field("proven", &self.proven)
            .finish()
    }
}
