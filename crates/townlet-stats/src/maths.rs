//! Functions that are not arithmetic, made of arithmetic alone.
//!
//! The logarithm and the exponential of the standard library are those of the platform and differ in the last bit
//! between platforms. A verdict has to be the same bytes wherever it is computed again, so these use nothing but the
//! operations that IEEE 754 rounds correctly, in a fixed order. They are accurate to about 1e-15.

const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// The natural logarithm; minus infinity at 0, NaN below.
pub(crate) fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let (x, shifted) = if x < f64::MIN_POSITIVE { (x * 18_014_398_509_481_984.0, 54.0) } else { (x, 0.0) };
    let bits = x.to_bits();
    let mut power = ((bits >> 52) as i64 - 1023) as f64 - shifted;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        power += 1.0;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..12).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    power * LN2_HIGH + (2.0 * s * series + power * LN2_LOW)
}

/// e to the power of `x`; 0 and infinity beyond ±708.
pub(crate) fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 708.0 {
        return f64::INFINITY;
    }
    if x < -708.0 {
        return 0.0;
    }
    let power = (x / std::f64::consts::LN_2).round();
    let rest = (x - power * LN2_HIGH) - power * LN2_LOW;
    let series = (1..=14).rev().fold(1.0, |sum, k| 1.0 + sum * rest / f64::from(k));
    series * f64::from_bits(((power as i64 + 1023) as u64) << 52)
}

/// The logarithm of the gamma function, for `x` above 0.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    // Stirling's series from 15 on; below by the recurrence.
    let (mut x, mut product) = (x, 1.0);
    while x < 15.0 {
        product *= x;
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    let series = (1.0 / 12.0 + z * (-1.0 / 360.0 + z * (1.0 / 1260.0 + z * (-1.0 / 1680.0 + z / 1188.0)))) / x;
    (x - 0.5) * ln(x) - x + 0.918_938_533_204_672_7 + series - ln(product)
}

/// The share of the beta distribution below `x`: I_x(a, b).
pub(crate) fn beta_below(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) { 1.0 - beta_fraction(b, a, 1.0 - x) } else { beta_fraction(a, b, x) }
}

/// The same by a continued fraction, which is fast for `x` up to about the mean.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let front = exp(ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * ln(x) + b * ln(1.0 - x)) / a;
    let step = |k: u32| {
        let half = f64::from(k / 2);
        let numerator = if k.is_multiple_of(2) {
            half * (b - half) * x / ((a + 2.0 * half - 1.0) * (a + 2.0 * half))
        } else {
            -(a + half) * (a + b + half) * x / ((a + 2.0 * half) * (a + 2.0 * half + 1.0))
        };
        (numerator, 1.0)
    };
    front / lentz(1.0, step)
}

/// b0 + a1/(b1 + a2/(b2 + …)) by Lentz's method; `step(k)` is (a, b) of the k-th.
fn lentz(first: f64, step: impl Fn(u32) -> (f64, f64)) -> f64 {
    const TINY: f64 = 1e-300;
    let or_tiny = |x: f64| if x == 0.0 { TINY } else { x };
    let mut value = or_tiny(first);
    let (mut c, mut d) = (value, 0.0);
    for k in 1..10_000 {
        let (a, b) = step(k);
        d = 1.0 / or_tiny(b + a * d);
        c = or_tiny(b + a / c);
        let factor = c * d;
        value *= factor;
        if (factor - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

/// Where Student's distribution with `freedom` degrees has `p` below it; `p` from one half up.
pub(crate) fn student_quantile(p: f64, freedom: f64) -> f64 {
    let above = |t: f64| 0.5 * beta_below(freedom / 2.0, 0.5, freedom / (freedom + t * t));
    let (mut low, mut high) = (0.0, 1.0);
    while above(high) > 1.0 - p && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if above(middle) > 1.0 - p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The share of the normal distribution above `z`.
pub(crate) fn normal_above(z: f64) -> f64 {
    if z.is_nan() {
        return z;
    }
    if z < 0.0 {
        return 1.0 - normal_above(-z);
    }
    let density = 0.398_942_280_401_432_7 * exp(-z * z / 2.0);
    if density == 0.0 {
        return 0.0;
    }
    if z < 3.0 {
        // z + z³/3 + z⁵/(3·5) + …
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    density / lentz(z, |k| (f64::from(k), z))
}

/// Where the normal distribution has `p` above it; `p` from 0 up to one half.
pub(crate) fn normal_quantile_above(p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if normal_above(middle) > p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() <= 4e-14 * expected.abs().max(1e-300), "{got:e} is not {expected:e}");
    }

    #[test]
    fn logarithm_and_exponential_agree_with_the_platform_to_the_last_bits() {
        let mut x = 1e-300;
        while x < 1e300 {
            if (x - 1.0f64).abs() > 1e-9 {
                close(ln(x), x.ln());
            }
            x *= 1.37;
        }
        let mut x = -700.0;
        while x < 700.0 {
            close(exp(x), x.exp());
            x += 0.37;
        }
        close(ln(5e-324), 5e-324f64.ln());
    }

    #[test]
    fn what_no_number_answers_is_said_by_a_limit() {
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan() && exp(f64::NAN).is_nan());
        assert_eq!((exp(-1e9), exp(1e9), exp(0.0), ln(1.0)), (0.0, f64::INFINITY, 1.0, 0.0));
    }

    // The values are those of tables: Abramowitz and Stegun; for the tails R's pnorm, pt, ppois and pbinom.
    #[test]
    fn distributions_agree_with_the_tables() {
        close(ln_gamma(0.5), 0.572_364_942_924_700_1);
        close(ln_gamma(100.0), 359.134_205_369_575_4);
        close(beta_below(2.0, 3.0, 0.4), 0.5248);
        close(student_quantile(0.975, 5.0), 2.570_581_835_636_314);
        close(normal_above(1.96), 0.024_997_895_148_220_43);
        close(normal_above(-1.0), 0.841_344_746_068_542_9);
        close(normal_above(6.0), 9.865_876_450_376_946e-10);
        close(normal_quantile_above(0.01), 2.326_347_874_040_840_8);
        close(normal_quantile_above(0.025), 1.959_963_984_540_054);
        assert_eq!((normal_above(0.0), normal_above(f64::INFINITY)), (0.5, 0.0));
    }
}
