//! Frames in, figures out.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use townlet_transport::{Connected, ErrorKind, Figures, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::book::Book;
use crate::last::Last;
use crate::options::PrometheusOptions;
use crate::scrape::Scrape;
use crate::textfile::{Os, Textfile, not_ours};

/// Counts what it is sent, and publishes the counts with the pipeline's own.
pub struct PrometheusTransport {
    options: PrometheusOptions,
    book: Arc<Mutex<Book>>,
    file: Option<Textfile>,
    /// The file of earlier runs has been read.
    resumed: bool,
    scrape: Option<Scrape>,
    open: bool,
}

impl PrometheusTransport {
    /// A transport that has touched neither disk nor network.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured): neither file nor endpoint, an
    /// endpoint that other machines reach, labels that are no labels.
    pub fn new(options: PrometheusOptions) -> Result<Self, TransportError> {
        options.check()?;
        let book = Arc::new(Mutex::new(Book::new(&options)));
        Ok(Self { options, book, file: None, resumed: false, scrape: None, open: false })
    }

    /// Where it answers scrapes, once it is connected.
    pub fn scrape_address(&self) -> Option<SocketAddr> {
        self.scrape.as_ref().map(Scrape::address)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    fn open_file(&mut self) -> Result<(), TransportError> {
        let Some(path) = self.options.file_path.as_ref().filter(|_| self.file.is_none()) else { return Ok(()) };
        let (file, text) = Textfile::open(path)?;
        if !self.resumed {
            let last = Last::read(text.as_deref().unwrap_or_default());
            if last.is_foreign() {
                return Err(not_ours(path));
            }
            if last.damaged > 0 {
                let (path, lines) = (path.display(), last.damaged);
                tracing::warn!(%path, lines, "telemetry_prometheus_file_damaged");
            }
            self.book().resume(last);
            self.resumed = true;
        }
        self.file = Some(file);
        Ok(())
    }

    fn open_endpoint(&mut self) -> Result<(), TransportError> {
        if let Some(options) = self.options.scrape.as_ref().filter(|_| self.scrape.is_none()) {
            let book = Arc::clone(&self.book);
            self.scrape = Some(Scrape::start(options.clone(), Box::new(move || lock(&book).text()))?);
        }
        Ok(())
    }

    fn peer(&self) -> String {
        match (&self.options.file_path, self.scrape_address()) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(address)) => format!("scrapes of {address}"),
            (None, None) => String::new(),
        }
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    // Changed by assignments that cannot fail half way.
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport for PrometheusTransport {
    fn watch(&mut self, figures: Arc<dyn Figures>) {
        self.book().watch(figures);
    }

    fn connect(&mut self) -> Result<Connected, TransportError> {
        self.open_file()?;
        self.open_endpoint()?;
        let fresh = !std::mem::replace(&mut self.open, true);
        let peer = self.peer();
        Ok(if fresh { Connected::fresh(peer, Level::Sent, false) } else { Connected::reused(peer, Level::Sent, false) })
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        if !self.open {
            return Err(TransportError::new(ErrorKind::Disconnected, "the figures are not open: connect first").into());
        }
        if batch.is_empty() {
            return Ok(Outcome::Settled(Level::Sent));
        }
        let totals = self.book().staged(batch);
        if let Some(file) = &self.file {
            let text = self.book().text_with(&totals)?;
            // Neither is held while the disk is waited for.
            if let Err(error) = file.replace(&mut Os, &text) {
                self.open = false;
                self.file = None;
                return Err(error.into());
            }
        }
        // What is in the file counts; what is not comes again.
        self.book().commit(totals);
        Ok(Outcome::Settled(Level::Sent))
    }

    /// Writes the file once more, so that it has the last batch in the books too.
    /// Whoever scrapes is answered until this transport is dropped.
    fn close(&mut self) {
        self.open = false;
        if let Some(file) = self.file.take() {
            let text = self.book().text();
            if let Err(error) = text.and_then(|text| file.replace(&mut Os, &text)) {
                tracing::warn!(%error, "telemetry_prometheus_last_write_failed");
            }
        }
    }
}

impl Drop for PrometheusTransport {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for PrometheusTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusTransport")
            .field("file", &self.options.file_path)
            .field("scrape", &self.scrape)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
