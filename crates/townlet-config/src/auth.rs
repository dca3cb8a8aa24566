//! `auth`: what a peer is shown to let us in. The configuration names the place of
//! a secret and never holds one.

use townlet_transport::{Auth, SecretSource};

use crate::block::Block;
use crate::context::Context;
use crate::diagnostic::{Code, quote};
use crate::origin::{Given, Place};
use crate::paths::{check_readable, resolve};
use crate::rules::Type;

/// Reads the block; `None` where it is absent or has findings.
pub(crate) fn read(ctx: &mut Context<'_>, outer: &mut Block<'_>) -> Option<Given<Auth>> {
    let mut block = outer.block(ctx, "auth");
    let place = block.place().clone();
    let written = outer.has("auth");
    let before = ctx.found.errors().count();
    let bearer = secret(ctx, &mut block, "bearer_file", "bearer_env");
    let user = block.opt_text(ctx, "user", "a user name");
    let password = secret(ctx, &mut block, "password_file", "password_env");
    let headers = secret(ctx, &mut block, "headers_file", "headers_env");
    let credentials = secret(ctx, &mut block, "credentials_file", "credentials_env");
    let seed = secret(ctx, &mut block, "nkey_seed_file", "nkey_seed_env");
    for (name, source) in [("credentials_file", &credentials), ("nkey_seed_file", &seed)] {
        if let (Some(source @ SecretSource::File(path)), Some(entry)) = (source, block.entry(name))
            && ctx.check_files
            && source.is_open_to_all()
        {
            let (key, shown) = (block.key(name), quote(&path.to_string_lossy()));
            let message = format!("{key}: everybody on this machine may read {shown}");
            let help = "chmod 600, and chown it to the user that runs this";
            ctx.warn(Code::File, &entry.place, &key, message).help(help);
        }
    }
    let key = block.path().to_owned();
    block.close(ctx);
    if ctx.found.errors().count() > before || !written {
        return None;
    }
    let mut refuse = |code, what: &str, help: &str| {
        ctx.error(code, &place, &key, format!("{key} {what}")).help(help);
        None
    };
    if headers.is_some() && (bearer.is_some() || user.is_some() || password.is_some()) {
        let what = "has headers beside a token or password";
        return refuse(Code::Conflict, what, "put it among the headers: authorization=Bearer%20…");
    }
    let others = [&bearer, &password, &headers].into_iter().flatten().count() + usize::from(user.is_some());
    let own = match (credentials, seed) {
        (Some(_), Some(_)) => {
            let what = "has credentials and the seed of an nkey";
            return refuse(Code::Conflict, what, "a .creds file has its seed in it: remove nkey_seed_file");
        }
        (Some(credentials), None) => Some(Auth::Credentials(credentials)),
        (None, Some(seed)) => Some(Auth::NkeySeed(seed)),
        (None, None) => None,
    };
    if let Some(value) = own {
        if others > 0 {
            let what = "has a key of NATS beside another way to be let in";
            return refuse(Code::Conflict, what, "one of them can be shown: remove the other");
        }
        return Some(Given { value, place });
    }
    let value = match (bearer, user, password) {
        (None, None, None) if headers.is_some() => Auth::Headers(headers?),
        (Some(token), None, None) => Auth::Bearer(token),
        (None, Some(user), Some(_)) if user.value.trim().is_empty() || user.value.contains(':') => {
            return refuse(Code::BadChoice, "has a user that is blank or has a colon in it", "Basic cannot carry that");
        }
        (None, Some(user), Some(password)) => Auth::Basic(user.value, password),
        (None, None, None) => return refuse(Code::Missing, "is empty", "add 'bearer_file: path', or remove the block"),
        (None, Some(_), None) => {
            return refuse(Code::Missing, "has a user and no password", "add 'password_file' or 'password_env'");
        }
        (None, None, Some(_)) => return refuse(Code::Missing, "has a password and no user", "add 'user'"),
        (Some(_), _, _) => {
            return refuse(Code::Conflict, "has a token and a password", "one of them can be shown: remove the other");
        }
    };
    Some(Given { value, place })
}

/// Whether this type can show it.
pub(crate) fn check(ctx: &mut Context<'_>, key: &str, kind: Type, type_name: &str, auth: &Given<Auth>) {
    let (what, help) = match (&auth.value, kind) {
        (_, Type::Other) | (Auth::Credentials(_) | Auth::NkeySeed(_), Type::Nats) => return,
        (Auth::Credentials(_), _) => ("credentials", "use bearer_file, or 'user' with password_file"),
        (Auth::NkeySeed(_), _) => ("the seed of an nkey", "use bearer_file, or 'user' with password_file"),
        (Auth::Headers(_), Type::Nats) => ("headers", "use credentials_file, nkey_seed_file, bearer_file or 'user'"),
        _ => return,
    };
    let message = format!("{key} has {what}, which type '{type_name}' cannot show");
    ctx.error(Code::NotForType, &auth.place, key, message).help(help);
}

/// The place of one secret: a file or an environment variable, not both.
fn secret(ctx: &mut Context<'_>, block: &mut Block<'_>, file: &str, env: &str) -> Option<SecretSource> {
    let path = block.opt_text(ctx, file, "a path");
    let name = block.opt_text(ctx, env, "the name of an environment variable");
    match (path, name) {
        (Some(_), Some(name)) => {
            let key = block.key(env);
            let message = format!("{key} stands beside {}", block.key(file));
            ctx.error(Code::Conflict, &name.place, &key, message).help("remove one of them");
            None
        }
        (Some(path), None) => {
            let key = block.key(file);
            if path.value.trim().is_empty() {
                return blank(ctx, &path.place, &key);
            }
            let resolved = resolve(ctx, &key, &path.place, &path.value)?;
            check_readable(ctx, &key, &path.place, &resolved);
            Some(SecretSource::File(resolved))
        }
        (None, Some(name)) => {
            let key = block.key(env);
            if name.value.trim().is_empty() {
                return blank(ctx, &name.place, &key);
            }
            if !name.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                // It may be the secret itself: it is not repeated.
                let message = format!("{key} takes the name of an environment variable, not a value");
                let help = format!("write {}, and set that variable", quote("COLLECTOR_TOKEN"));
                ctx.error(Code::BadChoice, &name.place, &key, message).help(help);
                return None;
            }
            Some(SecretSource::Env(name.value))
        }
        (None, None) => None,
    }
}

fn blank(ctx: &mut Context<'_>, place: &Place, key: &str) -> Option<SecretSource> {
    ctx.error(Code::Missing, place, key, format!("{key} must not be blank"));
    None
}
